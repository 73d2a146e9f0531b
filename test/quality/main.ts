// `make quality`: how near each precision of a checkpoint is to its fp32 on our frozen texts, and what it costs in time:
// a table, and JSON in bench-results/. Candidates read the same windows in turn, so that a shared machine is fair to all.
//   npx tsx test/quality/main.ts [--model M] [--precisions int8,w8a8,fp32+kv8] [--tokens 8192] [--window 512] [--rounds 12]
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { argv, cpuUsage } from 'node:process';
import { parseArgs } from 'node:util';
import { calibrationOn } from '../../kernels/onnx/activation-probe.ts';
import { nativeLibraryPath } from '../../kernels/onnx/own-library.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import { calibrationTokens } from '../../models/graph/calibration.ts';
import { type Precision, precisions } from '../../models/graph/precision.ts';
import { loadModel } from '../../models/model.ts';
import { loadConfig } from '../../server/config/config.ts';
import { median } from '../bench/samples.ts';
import { compareLogits, type Difference, type QualitySummary, summarise } from './divergence.ts';
import { chunkTokens, GraphReader } from './graph-reader.ts';
import { textNames, textWindows } from './texts.ts';

const promptTokens = 96;
const greedyTokens = 48;
const promptsMax = 12;
const kvSuffix = '+kv8'; // a precision with its KV as int8

interface Candidate {
  readonly name: string;
  readonly reader: GraphReader;
  readonly differences: Difference[];
  readonly perText: Map<string, Difference[]>;
  greedyWhole: number; // prompts whose continuation is fp32's to the end
  greedySame: number; // tokens that follow fp32's own prefix as in fp32
  greedyFirst: number; // tokens before the first difference
  readonly tokenMs: number[];
  readonly chunkMs: number[];
}

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    model: { type: 'string', default: 'spark-nano' },
    precisions: { type: 'string', default: [...precisions, `fp32${kvSuffix}`].join(',') },
    tokens: { type: 'string', default: '8192' },
    window: { type: 'string', default: '512' }, // errors of KV as int8 grow with it, if they do
    rounds: { type: 'string', default: '12' },
  },
});
const model = loadModel(values.model);
const checkpoint = loadCheckpoint(model.path);
const { cacheDirectory } = loadConfig({ flags: {}, env: process.env });
const capacity = Math.min(model.spec.contextLength, Number(values.window));
const windows = textWindows(model.tokenizer, { windowTokens: capacity, tokensMax: Number(values.tokens) });
const threads = Math.min(2, availableParallelism());
const names = values.precisions.split(',').filter((name) => name !== 'fp32');

const reference = await open('fp32');
const candidates: Candidate[] = [];
for (const name of names) candidates.push(await open(name));
const count = windows.reduce((sum, { tokens }) => sum + tokens.length, 0);
console.error(`${model.name}: ${count} tokens of ${textNames.join(', ')}, in windows of ${capacity}`);
windows.forEach(({ text, tokens }, index) => {
  readWindow(text, tokens);
  console.error(`window ${index + 1} of ${windows.length}`);
});
const prompts = windows.filter(({ tokens }) => tokens.length === capacity).slice(0, promptsMax);
for (const { tokens } of prompts) continueGreedily(tokens.slice(0, promptTokens));
for (let round = 0; round < Number(values.rounds); round++) timeAll(windows[0]!.tokens);
report();
for (const { reader } of [reference, ...candidates]) reader.release();

async function open(name: string): Promise<Candidate> {
  const precision = name.replace(kvSuffix, '') as Precision;
  if (!precisions.includes(precision))
    throw new Error(`${name} is none of ${precisions.join(', ')}, each also with ${kvSuffix}`);
  const calibration = calibrationOn(calibrationTokens(model), threads);
  const ownKernels = process.env['KERNELS'] !== 'onnxruntime' && nativeLibraryPath() !== null;
  const graph = await buildGraph(checkpoint, { precision, cacheDirectory, calibration, ownKernels });
  const reader = new GraphReader(graph, {
    kv: name.endsWith(kvSuffix) ? 'int8' : 'fp32',
    calibration: calibrationTokens(model),
    scalesFile: join(cacheDirectory, `quality-kv-scales-${graph.contentHash}.bin`),
    threads,
    capacity,
  });
  const counts = { greedyWhole: 0, greedySame: 0, greedyFirst: 0 };
  return { name, reader, differences: [], perText: new Map(), ...counts, tokenMs: [], chunkMs: [] };
}

function readWindow(text: string, tokens: readonly number[]): void {
  const { vocabSize } = model.spec;
  for (let start = 0; start < tokens.length; start += chunkTokens) {
    const chunk = tokens.slice(start, start + chunkTokens);
    const expected = reference.reader.read(chunk, start);
    for (const { reader, differences, perText } of candidates) {
      const actual = reader.read(chunk, start);
      for (let row = 0; row < chunk.length; row++) {
        const of = (logits: Float32Array) => logits.subarray(row * vocabSize, (row + 1) * vocabSize);
        const one = compareLogits(of(expected), of(actual), tokens[start + row + 1] ?? null);
        differences.push(one);
        perText.set(text, [...(perText.get(text) ?? []), one]);
      }
    }
  }
}

/** fp32's greedy continuation, and what each candidate would say after every prefix of it. */
function continueGreedily(prompt: readonly number[]): void {
  const expected = [prefill(reference.reader, prompt)];
  while (expected.length < greedyTokens)
    expected.push(reference.reader.next([expected.at(-1)!], prompt.length + expected.length - 1));
  for (const candidate of candidates) {
    const said = expected.map((_, step) =>
      step === 0
        ? prefill(candidate.reader, prompt)
        : candidate.reader.next([expected[step - 1]!], prompt.length + step - 1),
    );
    const first = said.findIndex((token, step) => token !== expected[step]);
    candidate.greedyWhole += first < 0 ? 1 : 0;
    candidate.greedyFirst += first < 0 ? greedyTokens : first;
    candidate.greedySame += said.filter((token, step) => token === expected[step]).length;
  }
}

function prefill(reader: GraphReader, tokens: readonly number[]): number {
  let next = -1;
  for (let start = 0; start < tokens.length; start += chunkTokens)
    next = reader.next(tokens.slice(start, start + chunkTokens), start);
  return next;
}

/**
 * One token and one chunk after 128 tokens of context, each candidate in turn; the first of two runs warms up. Processor
 * time, all threads together: it hardly depends on who else uses the machine.
 */
function timeAll(tokens: readonly number[]): void {
  const position = Math.min(128, capacity - chunkTokens);
  for (const { reader, tokenMs, chunkMs } of [reference, ...candidates]) {
    const timed = (part: readonly number[]) => {
      reader.next(part, position);
      const start = cpuUsage();
      reader.next(part, position);
      const { user, system } = cpuUsage(start);
      return (user + system) / 1000;
    };
    tokenMs.push(timed(tokens.slice(0, 1)));
    chunkMs.push(timed(tokens.slice(0, chunkTokens)));
  }
}

function report(): void {
  const of = prompts.length * greedyTokens;
  const speed = (own: readonly number[], base: readonly number[]) =>
    own.length === 0 ? null : median(own.map((ms, at) => base[at]! / ms));
  const rows = candidates.map((one) => ({
    precision: one.name,
    ...summarise(one.differences),
    greedy: { whole: one.greedyWhole, first: one.greedyFirst, same: one.greedySame, of },
    timesAsFast: {
      token: speed(one.tokenMs, reference.tokenMs),
      chunk: speed(one.chunkMs, reference.chunkMs),
    },
    texts: Object.fromEntries(Array.from(one.perText, ([text, own]) => [text, summarise(own)])),
  }));
  console.table(rows.map(printed));
  mkdirSync('bench-results', { recursive: true });
  const file = join('bench-results', `quality-${basename(model.name)}.json`);
  writeFileSync(
    file,
    JSON.stringify({ model: model.name, tokens: count, windowTokens: capacity, rows }, null, 2),
  );
  console.log(
    `KL in nats; speeds: fp32's processor time over its own, of one token and of ${chunkTokens}\nJSON: ${file}`,
  );
}

type Row = QualitySummary & {
  readonly precision: string;
  readonly greedy: {
    readonly whole: number;
    readonly first: number;
    readonly same: number;
    readonly of: number;
  };
  readonly timesAsFast: { readonly token: number | null; readonly chunk: number | null };
};

function printed(row: Row) {
  const { greedy, timesAsFast } = row;
  return {
    precision: row.precision,
    'perplexity ×': row.perplexityRatio.toFixed(4),
    'KL mean': row.divergenceMean.toFixed(4),
    p99: row.divergenceP99.toFixed(3),
    max: row.divergenceMax.toFixed(2),
    'top-1 %': (100 * row.top1).toFixed(1),
    'greedy steps': `${greedy.same}/${greedy.of}`,
    'before first': greedy.first,
    whole: `${greedy.whole}/${prompts.length}`,
    'speed, token': timesAsFast.token?.toFixed(2) ?? '',
    'speed, chunk': timesAsFast.chunk?.toFixed(2) ?? '',
  };
}
