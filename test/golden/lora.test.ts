// Adapters merged into a checkpoint, against what PEFT itself says with them; what is no adapter of the model is refused.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSession } from '../../kernels/onnx/ort.ts';
import { nativeLibraryPath } from '../../kernels/onnx/own-library.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { adaptedName, adapterChoice, withAdapters } from '../../models/checkpoint/lora.ts';
import { type BuildOptions, buildGraph } from '../../models/graph/build.ts';
import { loadModel, resolveModel } from '../../models/model.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { GraphRunner } from './graph-runner.ts';

interface Said {
  readonly last_logits: readonly number[];
  readonly greedy: readonly number[];
}

const models = join(import.meta.dirname, 'models');
const adapters = join(models, 'lora');
const base = join(models, 'llama-gqa');
const golden = JSON.parse(readFileSync(join(adapters, 'golden.json'), 'utf8')) as Record<string, Said> & {
  readonly prompt: readonly number[];
};
const cacheDirectory = temporaryDirectory();

async function says(
  choices: readonly string[],
  { precision = 'fp32', ownKernels = false }: Partial<Pick<BuildOptions, 'precision' | 'ownKernels'>> = {},
) {
  const checkpoint = withAdapters(loadCheckpoint(base), choices.map(adapterChoice));
  const graph = await buildGraph(checkpoint, { precision, cacheDirectory, ownKernels });
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 1, spinning: false });
  const runner = new GraphRunner(session, graph, { slotCount: 1, capacity: 128 });
  const { logits, topIds } = runner.prefill(0, golden.prompt, 64);
  const last = Array.from(logits);
  const greedy = runner.greedy(0, topIds[0]!, golden.prompt.length, 16);
  runner.release();
  return { last, greedy, contentHash: graph.contentHash };
}

test.each([
  ['base', []],
  ['plain', ['plain']],
  ['plain', ['plain.gguf']],
  ['scaled', ['scaled']],
  ['plain, half of scaled', ['plain', 'scaled=0.5']],
])('%s: %j gives the logits and tokens of PEFT', async (name, folders) => {
  const { last, greedy } = await says(folders.map((folder) => join(adapters, folder)));
  const expected = golden[name]!;
  const error = Math.max(...expected.last_logits.map((value, id) => Math.abs(value - last[id]!)));
  expect(error).toBeLessThan(1e-3);
  expect(greedy).toEqual(expected.greedy);
});

test.skipIf(nativeLibraryPath() === null).each([
  ['base', []],
  ['plain', ['plain.gguf']],
  ['plain, half of scaled', ['plain', 'scaled=0.5']],
])('%s: %j with operators of our own, at fp32 and rounded once merged', async (name, folders) => {
  const choices = folders.map((folder) => join(adapters, folder));
  const { last_logits: expected, greedy } = golden[name]!;
  const errorOf = (last: readonly number[]) =>
    Math.max(...expected.map((value, id) => Math.abs(value - last[id]!)));
  const whole = await says(choices, { ownKernels: true });
  expect(errorOf(whole.last)).toBeLessThan(1e-3);
  expect(whole.greedy).toEqual(greedy);
  const rounded = await says(choices, { precision: 'int8', ownKernels: true });
  const spread = Math.max(...expected) - Math.min(...expected);
  expect(errorOf(rounded.last)).toBeGreaterThan(0);
  expect(errorOf(rounded.last) / spread).toBeLessThan(0.03);
});

test('each choice of adapters and strengths is a graph of its own, in every format', async () => {
  const plain = join(adapters, 'plain');
  const scaled = join(adapters, 'scaled');
  const choices = [[], [plain], [`${plain}=0.5`], [scaled, plain], [plain, scaled]];
  const hashes = [];
  for (const choice of choices) hashes.push((await says(choice, { precision: 'int8' })).contentHash);
  expect(new Set(hashes).size).toBe(choices.length);
});

test('a model with adapters is named after them', () => {
  expect(adaptedName('smol', ['a/spark-edit', 'b/tone=0.5', 'c/more.gguf'].map(adapterChoice))).toBe(
    'smol+spark-edit+tone=0.5+more',
  );
  expect(adaptedName('smol', [])).toBe('smol');
  expect(adapterChoice('a=b/c')).toEqual({ path: 'a=b/c', strength: 1 });
  expect(adapterChoice('a=-2')).toEqual({ path: 'a', strength: -2 });
});

test('a directory with an adapter alone is its base model with it', () => {
  const folder = join(temporaryDirectory(), 'tuned');
  cpSync(join(adapters, 'plain'), folder, { recursive: true });
  const config = join(folder, 'adapter_config.json');
  const naming = (base: string | null) =>
    writeFileSync(config, JSON.stringify({ base_model_name_or_path: base }));
  naming(base);
  expect(resolveModel(folder)).toBe(base);
  naming('HuggingFaceTB/SmolLM2-135M-Instruct');
  expect(loadModel(folder)).toMatchObject({ name: 'tuned', adapters: [{ path: folder, strength: 1 }] });
  expect(resolveModel(folder)).toBe(resolveModel('smollm2-135m-instruct'));
  naming('somebody/else');
  expect(() => loadModel(folder)).toThrow('its base model somebody/else is not here');
  naming(null);
  expect(() => loadModel(folder)).toThrow('base_model_name_or_path: says no base model');
});

const refusals: readonly (readonly [string, string, RegExp])[] = [
  ['of another base model', 'qwen2-tied', /another one/],
  ['without weights', 'no weights', /adapter_model\.safetensors: is missing/],
  ['that is none', 'no config', /adapter_config\.json: is missing/],
  ['with DoRA', '"use_dora": false → "use_dora": true', /use_dora: DoRA/],
  ['with trained biases', '"bias": "none" → "bias": "all"', /bias: trained biases/],
  ['with whole modules', '"modules_to_save": null → "modules_to_save": ["lm_head"]', /modules_to_save/],
  ['of another kind', '"peft_type": "LORA" → "peft_type": "IA3"', /IA3 is not LORA/],
];

test.each(refusals)('an adapter %s is refused by name', (_, change, message) => {
  const folder = join(temporaryDirectory(), 'adapter');
  cpSync(join(adapters, 'scaled'), folder, { recursive: true });
  const config = join(folder, 'adapter_config.json');
  const [from, to] = change.split(' → ');
  if (to !== undefined) {
    const before = readFileSync(config, 'utf8');
    expect(before).toContain(from);
    writeFileSync(config, before.replace(from!, to));
  }
  if (change === 'no weights') rmSync(join(folder, 'adapter_model.safetensors'));
  if (change === 'no config') rmSync(config);
  const model = change === 'qwen2-tied' ? join(models, 'qwen2-tied') : base;
  expect(() => withAdapters(loadCheckpoint(model), [{ path: folder, strength: 1 }])).toThrow(message);
});
