// Real shapes: the fields of published config.json files, a model of each family. Read without weights, they must have the
// number of weights that the model card says, and a size that fits into a machine or is refused in words.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import { graphSize, sizeProblem } from '../../models/graph/graph-size.ts';
import { defaultPrecision } from '../../models/graph/precision.ts';
import { weightCount } from '../../models/spec.ts';
import type { WeightSource } from '../../models/weights/weights.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
const file = join(import.meta.dirname, 'models/shapes/shapes.json');
const shapes = JSON.parse(readFileSync(file, 'utf8')) as Record<string, { weights: number; config: object }>;
const gib = 2 ** 30;
const unread: WeightSource = {
  read(name) {
    throw new Error(`${name} was read`);
  },
};

test.each(Object.entries(shapes))('%s is planned from its config alone', (name, { weights, config }) => {
  const path = join(directory, name);
  mkdirSync(path);
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  const spec = readModelSpec(path);
  expect(weightCount(spec)).toBe(weights);
  const precision = defaultPrecision(spec, unread);
  expect(precision).toBe('int8');
  const size = graphSize(spec, { precision }, unread);
  // A byte each, an eighth of one for scales; float embeddings and rotary tables besides.
  expect(size / weights).toBeGreaterThan(1.1);
  expect(size / weights).toBeLessThan(1.5);
  expect(sizeProblem(size, 64 * gib)).toBeNull();
  const problem = sizeProblem(size, 0.5 * gib);
  expect(problem).toMatch(/take \d+\.\d GiB here, this machine has 0\.5 GiB of memory: take a smaller model/);
});
