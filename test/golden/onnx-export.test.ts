// Exports that others made, in both layouts, against transformers: the golden checkpoints as graphs with their inputs and
// outputs must draw what the checkpoints draw, in one piece, in chunks and among other rows.
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSession } from '../../kernels/onnx/ort.ts';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import { CheckpointError } from '../../models/files/model-file.ts';
import { adoptExport } from '../../models/graph/adopted-graph.ts';
import { loadModel } from '../../models/model.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import type { GoldenCase } from './golden-models.ts';
import { GraphRunner } from './graph-runner.ts';
import { type ExportFlaws, type ExportLayout, writeExport } from './onnx-export.ts';

const root = join(import.meta.dirname, 'models/families');
const scratch = temporaryDirectory();
let made = 0;

async function exportOf(name: string, layout: ExportLayout, flaws: ExportFlaws = {}): Promise<string> {
  const directory = join(scratch, `${made++}`, name);
  mkdirSync(directory, { recursive: true });
  await writeExport(join(root, name), { directory, layout, flaws });
  return directory;
}

test.each([
  ['qwen3', 'community'],
  ['gemma2', 'genai'],
  ['mistral-window', 'genai'],
] as const)('%s in the layout of %s draws what the checkpoint draws', async (name, layout) => {
  const directory = await exportOf(name, layout);
  const graph = await adoptExport(directory, readModelSpec(directory), join(scratch, 'cache'));
  expect((await adoptExport(directory, readModelSpec(directory), join(scratch, 'cache'))).fromCache).toBe(
    true,
  );
  const { cases } = JSON.parse(readFileSync(join(root, name, 'golden.json'), 'utf8')) as {
    cases: GoldenCase[];
  };
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 1, spinning: false });
  const runner = new GraphRunner(session, graph, { slotCount: 3, capacity: 256 });
  for (const { input_ids: prompt, last_logits: logits, greedy } of cases) {
    for (const chunkSize of [128, 7]) {
      const step = runner.prefill(0, prompt, chunkSize);
      for (const [id, value] of logits.entries()) expect(step.logits[id]).toBeCloseTo(value, 2);
      expect(runner.greedy(0, step.topIds[0]!, prompt.length, greedy.length)).toEqual(greedy);
    }
  }
  const { input_ids: prompt, greedy } = cases.at(-1)!;
  for (const [slot, tokens] of [prompt, prompt.slice(0, 31), prompt.slice(0, 5)].entries())
    runner.prefill(slot, tokens, 32);
  const drawn = [greedy[0]!];
  const others = [prompt[31]!, prompt[5]!];
  for (let step = 0; step < 6; step++) {
    const positions = [prompt.length + step, 31 + step, 5 + step];
    const { topIds } = runner.decode(0, [drawn.at(-1)!, ...others], positions);
    drawn.push(topIds[0]!);
    others.splice(0, 2, topIds[graph.topCount]!, topIds[2 * graph.topCount]!);
  }
  expect(drawn).toEqual(greedy.slice(0, drawn.length));
  runner.release();
});

test.each([
  ['another input', { extraInput: { name: 'pixel_values', type: 'float', shape: [1] } }, 'pixel_values'],
  ['a cache that is not float', { cacheType: 'int8' }, 'keys and values in int8'],
  [
    'attention that copies its cache',
    { attention: 'Concat' },
    'is read by Concat, not by GroupQueryAttention',
  ],
] as const)('an export with %s is refused with why', async (_, flaws, why) => {
  const directory = await exportOf('qwen3', 'community', flaws);
  const adopting = adoptExport(directory, readModelSpec(directory), join(scratch, 'cache'));
  await expect(adopting).rejects.toThrow(CheckpointError);
  await expect(adopting).rejects.toThrow(why);
});

test('an export is a model with its tokenizer, and says what it is', async () => {
  const directory = await exportOf('qwen3', 'genai');
  copyFileSync(join(root, '../encoders/bert-mean/tokenizer.json'), join(directory, 'tokenizer.json'));
  const model = loadModel(directory);
  expect(model).toMatchObject({ fileFormat: 'onnx', spec: { layerCount: 2, vocabSize: 256, headSize: 32 } });
  expect(model.fileSize).toBeGreaterThan(100_000);
});
