// LoRA adapters over a checkpoint: W + scale · B · A, merged as a matrix is read, so that a graph is built from it like
// from any other. Owns what a PEFT directory says and the checks against the base model; reads weights when asked for.
// Format: https://huggingface.co/docs/peft (adapter_config.json, adapter_model.safetensors). Before it: checkpoint.ts;
// after it: graph/build.ts.
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { ggufName } from '../files/gguf-name.ts';
import { CheckpointError, readJson } from '../files/model-file.ts';
import { findGguf } from '../gguf/find-gguf.ts';
import { openGgufAdapter } from '../gguf/gguf-adapter.ts';
import type { ModelSpec } from '../spec.ts';
import type { Adapter, LowRank } from '../weights/adapter.ts';
import { requiredTensors } from '../weights/required-tensors.ts';
import { isReadableDtype, openSafetensors, readTensor } from '../weights/safetensors.ts';
import { storedTensor } from '../weights/stored-tensors.ts';
import type { Checkpoint, TableRows } from '../weights/weights.ts';

/** `DIR`, or `DIR=0.5`: an adapter and how much of it. */
export interface AdapterChoice {
  readonly path: string;
  readonly strength: number; // 1: as trained
}

export const adapterConfig = 'adapter_config.json';
const adapterWeights = 'adapter_model.safetensors';
const positive = z.number().positive();
const configSchema = z.looseObject({
  peft_type: z.string(),
  r: z.int().min(1).max(65_536),
  lora_alpha: positive,
  alpha_pattern: z.record(z.string(), positive).nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  lora_bias: z.boolean().nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  bias: z.string().nullish(),
  modules_to_save: z.array(z.string()).nullish(),
});

/** Reads `DIR=SCALE`; a path may have an equals sign that no number follows. */
export function adapterChoice(text: string): AdapterChoice {
  const [, path, strength] = /^(.+)=(-?\d+(?:\.\d+)?)$/.exec(text) ?? [];
  return path === undefined ? { path: text, strength: 1 } : { path, strength: Number(strength) };
}

/** What the base model of a PEFT directory is called there: a path, or OWNER/NAME. Throws CheckpointError. */
export function baseModelOf(directory: string): string {
  const file = join(directory, adapterConfig);
  const { base_model_name_or_path: base } = readJson(
    file,
    z.looseObject({ base_model_name_or_path: z.string().nullish() }),
  );
  if (base) return base;
  throw new CheckpointError('says no base model: --model BASE --lora DIR names it', {
    ...{ file, field: 'base_model_name_or_path' },
  });
}

/** What a model with adapters is called. */
export function adaptedName(name: string, choices: readonly AdapterChoice[]): string {
  const suffix = ({ path, strength }: AdapterChoice) =>
    `${ggufName(basename(resolve(path)))}${strength === 1 ? '' : `=${strength}`}`;
  return [name, ...choices.map(suffix)].join('+');
}

/** The checkpoint as the adapters make it. Throws CheckpointError where one is not of this model. */
export function withAdapters(checkpoint: Checkpoint, choices: readonly AdapterChoice[]): Checkpoint {
  if (choices.length === 0) return checkpoint;
  const { spec } = checkpoint;
  const opened = choices.map(({ path, strength }) => ({
    adapter: openAdapter(resolve(path), spec),
    strength,
  }));
  for (const { adapter } of opened) {
    checkTargets(adapter, spec);
    checkCopies(adapter, checkpoint);
  }
  const partsOf = (name: string) =>
    opened.flatMap(({ adapter, strength }) => {
      const part = adapter.targets.get(storedTensor(spec, name).name);
      return part === undefined ? [] : [{ ...part, scale: part.scale * strength }];
    });
  return {
    ...checkpoint,
    weightFiles: [...checkpoint.weightFiles, ...opened.flatMap(({ adapter }) => adapter.files)],
    variant: `lora ${choices.map(({ strength }) => strength).join(' ')}`,
    read(name) {
      const values = checkpoint.read(name);
      const { rows } = storedTensor(spec, name);
      for (const part of partsOf(name)) merge(values, part, rows?.start ?? 0);
      return values;
    },
    ...(checkpoint.readRows !== undefined && {
      readRows: (name: string, rows: TableRows) =>
        mergedRows(checkpoint.readRows!(name, rows), partsOf(name), rows.start),
    }),
    // A merged matrix is no longer what is stored.
    storedLayout: (name) => (partsOf(name).length > 0 ? null : (checkpoint.storedLayout?.(name) ?? null)),
  };
}

function mergedRows(values: Float32Array, parts: readonly LowRank[], start: number): Float32Array {
  for (const part of parts) merge(values, part, start);
  return values;
}

/** `values` [n, in] are rows `start` … of the stored matrix; changed in place. */
function merge(values: Float32Array, { aShape, rank, scale, ...part }: LowRank, start: number): void {
  const width = aShape[1]!;
  const [a, b] = [part.a(), part.b()];
  const row = new Float64Array(width); // summed as doubles: the product is rounded once, as the sum with W is
  for (let out = 0; out * width < values.length; out++) {
    row.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = b[(start + out) * rank + k]! * scale;
      if (factor === 0) continue;
      for (let i = 0; i < width; i++) row[i]! += factor * a[k * width + i]!;
    }
    for (let i = 0; i < width; i++) values[out * width + i]! += row[i]!;
  }
}

/** A PEFT directory or a GGUF adapter. Throws CheckpointError. */
function openAdapter(path: string, spec: ModelSpec): Adapter {
  const gguf = findGguf(path);
  return gguf === null ? openDirectory(path) : openGgufAdapter(gguf, spec);
}

function openDirectory(directory: string): Adapter {
  const configFile = join(directory, adapterConfig);
  const config = readJson(configFile, configSchema);
  refuseOthers(config, configFile);
  const file = join(directory, adapterWeights);
  if (!existsSync(file)) throw new CheckpointError('is missing', { file });
  const weights = openSafetensors(file);
  const halves = new Map<string, { a?: string; b?: string }>();
  const copies = new Map<string, () => Float32Array>();
  for (const [name, { dtype }] of weights.tensors) {
    const copied = /^base_model\.model\.(.+)\.base_layer\.weight$/.exec(name)?.[1];
    if (copied !== undefined) {
      copies.set(`${copied}.weight`, () => readTensor(weights, name));
      continue;
    }
    const [, module, half] = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/.exec(name) ?? [];
    if (module === undefined) {
      throw new CheckpointError('is no lora_A or lora_B of a linear layer', { file, field: name });
    }
    if (!isReadableDtype(dtype)) {
      throw new CheckpointError(`dtype ${dtype} is not one of F32, F16, BF16`, { file, field: name });
    }
    const pair = halves.get(module) ?? {};
    halves.set(module, half === 'A' ? { ...pair, a: name } : { ...pair, b: name });
  }
  const targets = new Map<string, LowRank>();
  for (const [module, { a, b }] of halves) {
    if (a === undefined || b === undefined) {
      throw new CheckpointError('has only one of lora_A and lora_B', { file, field: module });
    }
    const rank = weights.tensors.get(a)!.shape[0] ?? 0;
    const alpha = alphaOf(module, config);
    targets.set(`${module}.weight`, {
      rank,
      scale: alpha / (config.use_rslora === true ? Math.sqrt(rank) : rank),
      aShape: weights.tensors.get(a)!.shape,
      bShape: weights.tensors.get(b)!.shape,
      a: () => readTensor(weights, a),
      b: () => readTensor(weights, b),
    });
  }
  return { path: directory, files: [file, configFile], targets, copies };
}

type PeftConfig = z.output<typeof configSchema>;

/** What would be left out is part of what was trained. */
function refuseOthers(config: PeftConfig, file: string): void {
  const refuse = (field: string, problem: string): never => {
    throw new CheckpointError(`${problem}: merge it into its base model with PEFT, and serve the result`, {
      file,
      field,
    });
  };
  if (config.peft_type !== 'LORA') refuse('peft_type', `${config.peft_type} is not LORA`);
  if (config.use_dora === true) refuse('use_dora', 'DoRA is not supported');
  if (config.lora_bias === true) refuse('lora_bias', 'biases of an adapter are not supported');
  if (config.fan_in_fan_out === true) refuse('fan_in_fan_out', 'transposed layers are not supported');
  if ((config.bias ?? 'none') !== 'none') refuse('bias', 'trained biases are not supported');
  if ((config.modules_to_save ?? []).length > 0) {
    refuse('modules_to_save', 'whole modules beside the adapter are not supported');
  }
}

/** The first pattern that is the module's name, or its end after a dot, decides; else lora_alpha does. */
function alphaOf(module: string, { alpha_pattern, lora_alpha }: PeftConfig): number {
  for (const [pattern, alpha] of Object.entries(alpha_pattern ?? {})) {
    if (module === pattern || module.endsWith(`.${pattern}`)) return alpha;
  }
  return lora_alpha;
}

function checkTargets({ path, targets }: Adapter, spec: ModelSpec): void {
  const shapes = matrixShapes(spec);
  for (const [name, { aShape, bShape, rank }] of targets) {
    const shape = shapes.get(name);
    const place = { file: path, field: name };
    if (shape === undefined) {
      throw new CheckpointError('the base model has no such matrix: it is an adapter of another one', place);
    }
    const [outSize, inSize] = shape;
    if (bShape[0] === outSize && aShape[1] === inSize && bShape[1] === rank && rank >= 1) continue;
    throw new CheckpointError(
      `lora_A [${aShape.join(', ')}] and lora_B [${bShape.join(', ')}] do not fit the base model's [${outSize}, ${inSize}]: it is an adapter of another one`,
      place,
    );
  }
}

/** A head that was trained whole beside the adapter is not merged silently as if it had not been. */
function checkCopies({ path, copies }: Adapter, checkpoint: Checkpoint): void {
  for (const [name, read] of copies) {
    const own = checkpoint.has(name) ? checkpoint.read(name) : null;
    const copy = read();
    if (own?.length === copy.length && own.every((value, index) => value === copy[index])) continue;
    const problem = "differs from the base model's: merge the adapter with PEFT, and serve the result";
    throw new CheckpointError(problem, { file: path, field: name });
  }
}

/** Stored matrices of the layers, and a head of its own: an embedding is looked up, not multiplied. */
function matrixShapes(spec: ModelSpec): ReadonlyMap<string, readonly [rows: number, width: number]> {
  const shapes = new Map<string, readonly [number, number]>();
  for (const [name, shape] of requiredTensors(spec)) {
    if (shape.length !== 2 || name === 'model.embed_tokens.weight') continue;
    const { name: stored, rows } = storedTensor(spec, name);
    shapes.set(stored, [rows?.of ?? shape[0]!, shape[1]!]);
  }
  return shapes;
}
