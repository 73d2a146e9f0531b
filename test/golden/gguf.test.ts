// GGUF files against transformers' greedy tokens from the same dequantised weights: the embedded SmolLM2 always, the
// tiny models of every tensor type where ../shared/data/gguf lies beside the repository.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { openSession } from '../../kernels/onnx/ort.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import { loadModel } from '../../models/model.ts';
import { builtGraphs } from '../run-folders.ts';
import { GraphRunner } from './graph-runner.ts';

interface SmolCase {
  readonly prompt?: string;
  readonly messages?: readonly { readonly role: string; readonly content: string }[];
  readonly text?: string; // of `messages`
  readonly ids: readonly number[];
  readonly out: readonly number[]; // greedy, float32
  readonly margin: readonly number[]; // between the best and the second-best logit
}

const FLOAT_TOKENS = 24; // of each case: half a gigabyte of weights is read for each
const cacheDirectory = builtGraphs();
const golden = join(import.meta.dirname, 'models/smollm2-135m-instruct/golden.json');
const cases = JSON.parse(readFileSync(golden, 'utf8')) as readonly SmolCase[];
const shared = resolve(import.meta.dirname, '../../../shared/data/gguf');
const tinyFiles = existsSync(shared) ? readdirSync(shared).filter((name) => name.endsWith('.gguf')) : [];
if (tinyFiles.length === 0) console.warn('tiny GGUF models: skipped, ../shared/data/gguf is not there');

async function openFloat(path: string, capacity: number): Promise<GraphRunner> {
  const graph = await buildGraph(loadCheckpoint(path), { precision: 'fp32', cacheDirectory });
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 1, spinning: false });
  return new GraphRunner(session, graph, { slotCount: 1, capacity });
}

test('SmolLM2 gets the reference ids from its GGUF: text, template and tokenizer', () => {
  const { chatTemplate, tokenizer } = loadModel('smollm2-135m-instruct');
  for (const { prompt, messages, text, ids } of cases) {
    const rendered = prompt ?? chatTemplate!.render(messages!, { addGenerationPrompt: true });
    if (text !== undefined) expect(rendered).toBe(text);
    expect([...tokenizer.encode(rendered)]).toEqual(ids);
  }
});

test('SmolLM2 at fp32 gives the reference tokens', async () => {
  const runner = await openFloat(loadModel('smollm2-135m-instruct').path, 256);
  for (const { ids, out } of cases) {
    const { topIds } = runner.prefill(0, ids, 128);
    const first = out.slice(0, FLOAT_TOKENS);
    expect(runner.greedy(0, topIds[0]!, ids.length, first.length)).toEqual(first);
  }
  runner.release();
}); // 540 MB of weights are written

test.each(tinyFiles)('%s at fp32 gives the reference tokens', async (file) => {
  const all = JSON.parse(readFileSync(join(shared, 'greedy.json'), 'utf8')) as Record<string, TinyCase[]>;
  const runner = await openFloat(join(shared, file), 64);
  for (const { ids, greedy } of all[file]!) {
    const { topIds } = runner.prefill(0, ids, 128);
    expect(runner.greedy(0, topIds[0]!, ids.length, greedy.length)).toEqual(greedy);
  }
  runner.release();
});

interface TinyCase {
  readonly ids: readonly number[];
  readonly greedy: readonly number[];
}
