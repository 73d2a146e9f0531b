// A Hugging Face model directory, or a GGUF file, → ModelSpec and float32 tensors. At load every tensor that the architecture needs
// is checked for presence, dtype and shape; values are read from disk only when asked for. It knows no runtime.
// Before it: checkpoint-config.ts and weights/weight-files.ts; after it: graph/build.ts.
import { statSync } from 'node:fs';
import { CheckpointError } from '../files/model-file.ts';
import { modelName } from '../files/model-name.ts';
import { findGguf } from '../gguf/find-gguf.ts';
import { ggufCheckpoint } from '../gguf/gguf-checkpoint.ts';
import { openGguf } from '../gguf/gguf-file.ts';
import { ggufSpec } from '../gguf/gguf-spec.ts';
import type { ModelSpec } from '../spec.ts';
import { levelsOf, microscaledLayout, widened } from '../weights/microscaled.ts';
import { requiredTensors } from '../weights/required-tensors.ts';
import {
  isReadableDtype,
  readBytes,
  readTensor,
  sameTensors,
  type TensorEntry,
} from '../weights/safetensors.ts';
import { hasShape, type StoredTensor, storedTensor } from '../weights/stored-tensors.ts';
import { openWeightFiles, type WeightFiles } from '../weights/weight-files.ts';
import type { BlockQuantised, Checkpoint } from '../weights/weights.ts';
import { readModelSpec } from './checkpoint-config.ts';

/** Loads the settings and checks the headers of all weight files. Throws CheckpointError; holds no file open. */
export function loadCheckpoint(path: string): Checkpoint {
  const gguf = findGguf(path);
  if (gguf === null) return loadDirectory(path);
  const opened = openGguf(gguf);
  const spec = ggufSpec(opened, modelName(path));
  const checkpoint = ggufCheckpoint(opened, spec, requiredTensors(spec));
  return {
    ...checkpoint,
    read(name) {
      const values = checkpoint.read(name);
      checkFinite(values, { file: gguf, field: name });
      return values;
    },
    readRows(name, rows) {
      const values = checkpoint.readRows!(name, rows);
      checkFinite(values, { file: gguf, field: name });
      return values;
    },
    readBlocks(name) {
      const blocks = checkpoint.readBlocks!(name);
      checkFinite(blocks.scales, { file: gguf, field: name });
      if (blocks.offsets !== undefined) checkFinite(blocks.offsets, { file: gguf, field: name });
      return blocks;
    },
  };
}

function loadDirectory(directory: string): Checkpoint {
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    throw new CheckpointError('is not a directory', { file: directory });
  }
  const configured = readModelSpec(directory);
  const weights = openWeightFiles(directory);
  const spell = spellingOf(weights);
  const spec = { ...configured, tiedEmbeddings: configured.tiedEmbeddings && !hasOwnHead(weights, spell) };
  const stored = (name: string): StoredTensor => {
    const place = storedTensor(spec, name);
    return { ...place, name: spell(place.name), scales: place.scales && spell(place.scales) };
  };
  const entry = (name: string): TensorEntry => {
    const found = weights.byTensor.get(name)?.tensors.get(name);
    if (!found) throw new CheckpointError('is missing from the weights', { file: directory, field: name });
    return found;
  };
  checkTensors(spec, weights, { entry, stored });
  const microscaled = ({ name, rows, scales }: StoredTensor): BlockQuantised =>
    levelsOf(
      readBytes(weights.byTensor.get(name)!, name, rows!),
      readBytes(weights.byTensor.get(scales!)!, scales!, rows!),
    );
  return {
    spec,
    path: directory,
    weightFiles: weights.paths,
    has: (name) => weights.byTensor.has(stored(name).name),
    typeOf: (name) => entry(stored(name).name).dtype,
    shape(name) {
      const { name: own, rows, scales } = stored(name);
      const { shape } = entry(own);
      if (scales !== null) return [rows!.count, (2 * product(shape)) / rows!.of];
      if (rows === null) return shape;
      return name.endsWith('.bias') ? [rows.count] : [rows.count, shape.at(-1)!];
    },
    read(name) {
      const place = stored(name);
      entry(place.name);
      if (place.scales !== null) return widened(microscaled(place));
      const file = weights.byTensor.get(place.name)!;
      const values = readTensor(file, place.name, place.rows);
      checkFinite(values, { file: file.path, field: place.name });
      if (place.offset !== 0) for (let at = 0; at < values.length; at++) values[at]! += place.offset;
      return values;
    },
    readRows(name, rows) {
      const place = stored(name);
      if (place.scales !== null || place.rows !== null || place.offset !== 0)
        throw new CheckpointError('is no table of its own', { file: directory, field: name });
      const file = weights.byTensor.get(place.name)!;
      const values = readTensor(file, place.name, rows);
      checkFinite(values, { file: file.path, field: place.name });
      return values;
    },
    storedLayout: (name) => (stored(name).scales === null ? null : microscaledLayout),
    readBlocks: (name) => microscaled(stored(name)),
  };
}

/**
 * A decoder within a larger model has its tensors below a name of their own, in either of two ways; one that only embeds is
 * saved without the name that it has below its head.
 */
function spellingOf({ byTensor }: WeightFiles): (name: string) => string {
  const spellings = [
    (name: string) => name,
    (name: string) => `language_model.${name}`,
    (name: string) => name.replace(/^model\./, 'model.language_model.'),
    (name: string) => name.replace(/^model\./, ''),
  ];
  return spellings.find((spell) => byTensor.has(spell('model.embed_tokens.weight'))) ?? spellings[0]!;
}

/**
 * Fine-tunes are saved with a head that has moved away from the embeddings, and a config.json that still ties them. As in
 * transformers 5, what the weights hold counts: a head that differs is not tied.
 */
function hasOwnHead({ byTensor }: WeightFiles, spell: (name: string) => string): boolean {
  const [head, embedding] = [spell('lm_head.weight'), spell('model.embed_tokens.weight')];
  const [own, shared] = [byTensor.get(head), byTensor.get(embedding)];
  if (own === undefined || shared === undefined) return false;
  return !sameTensors({ file: own, name: head }, { file: shared, name: embedding });
}

function checkTensors(
  spec: ModelSpec,
  weights: WeightFiles,
  {
    entry,
    stored: storedOf,
  }: { entry: (name: string) => TensorEntry; stored: (name: string) => StoredTensor },
): void {
  for (const [name, needed] of requiredTensors(spec)) {
    const stored = storedOf(name);
    const found = entry(stored.name);
    if (stored.scales !== null) {
      checkMicroscaled(stored, needed, [found, entry(stored.scales)], weights.paths[0]!);
      continue;
    }
    const place = { file: weights.byTensor.get(stored.name)!.path, field: stored.name };
    if (!isReadableDtype(found.dtype)) {
      throw new CheckpointError(`dtype ${found.dtype} is not one of F32, F16, BF16`, place);
    }
    if (!hasShape(found.shape, needed, stored.rows)) {
      const shape = stored.rows === null ? needed : [stored.rows.of, ...needed.slice(1)];
      throw new CheckpointError(
        `has shape [${found.shape.join(', ')}], config.json asks for [${shape.join(', ')}]`,
        place,
      );
    }
  }
}

/** Two levels a byte, and a scale for each 32 of them. */
function checkMicroscaled(
  { name, rows }: StoredTensor,
  needed: readonly number[],
  [levels, scales]: readonly [TensorEntry, TensorEntry],
  file: string,
): void {
  const count = rows!.of * needed.at(-1)!; // values
  if (
    levels.dtype === 'U8' &&
    scales.dtype === 'U8' &&
    levels.size * 2 === count &&
    scales.size * 32 === count
  )
    return;
  const found = `${levels.size} bytes of ${levels.dtype} and ${scales.size} scales`;
  throw new CheckpointError(`has ${found}, config.json asks for ${count} values of 4 bits`, {
    file,
    field: name,
  });
}

function product(shape: readonly number[]): number {
  return shape.reduce((all, size) => all * size, 1);
}

/** One value that is not finite makes every answer NaN, or only those to the texts that meet it. */
function checkFinite(values: Float32Array, place: { readonly file: string; readonly field: string }): void {
  let sum = 0; // of zeros, or NaN: 0 · ∞ and 0 · NaN are
  for (let index = 0; index < values.length; index++) sum += 0 * values[index]!;
  if (sum === 0) return;
  const index = values.findIndex((value) => !Number.isFinite(value));
  throw new CheckpointError(`value ${index} is ${values[index]}, not a finite number`, place);
}
