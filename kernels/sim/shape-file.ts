// The shape of a model that a person names: one of the published ones, or a local directory's config.json.
// Reads that one file. Used by registry.ts and the simulator's commands.
import { readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { namedShape } from './catalogue.ts';
import { shapeOfConfig, UnknownShapeError } from './shape-config.ts';
import type { ModelShape } from './shapes.ts';

/** A known model, or the directory of one with a config.json. Throws UnknownShapeError. */
export function shapeNamed(name: string): ModelShape {
  const file = join(name, 'config.json');
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) return namedShape(name);
  try {
    return shapeOfConfig(basename(resolve(name)), JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UnknownShapeError(`${file} is not JSON: ${error.message}`);
    throw error;
  }
}
