// Where the milliseconds of a step go, by part of the decoder: ONNX Runtime's own profile of single tokens at growing
// context, of sequences together and of a chunk, for each format asked for; `+kv8` keeps KV as int8. Products are told by
// role. With one thread the parts add up. Profiling itself costs
// about a microsecond an operator. Of each node the fastest of all runs counts, so that a shared machine disturbs little. What the socket adds: `make bench-peer ARGS="--only smol"`.
// Run: npx tsx test/bench/profile.bench.ts [model] [int8,w8a8+kv8] [threads]
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import { calibrationOn } from '../../kernels/onnx/activation-probe.ts';
import { measuredTuning, openSession } from '../../kernels/onnx/ort.ts';
import { nativeLibraryPath } from '../../kernels/onnx/own-library.ts';
import { Random } from '../../kernels/random.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { type BuiltGraph, buildGraph } from '../../models/graph/build.ts';
import { calibrationTokens } from '../../models/graph/calibration.ts';
import type { Precision } from '../../models/graph/precision.ts';
import { loadModel } from '../../models/model.ts';
import { loadConfig } from '../../server/config/config.ts';
import { openBindings } from './bare-seat.ts';
import { randomTokens } from './samples.ts';

interface Case {
  readonly name: string;
  readonly rows: number; // sequences
  readonly tokens: number; // of each
  readonly context: number; // of each, before them
}

const row = (rows: number, context: number): Case => ({
  name: `${rows} at ${context}`,
  ...{ rows, tokens: 1, context },
});
const cases: readonly Case[] = [
  ...[row(1, 16), row(1, 2048), row(1, 6144), row(4, 64), row(16, 64)],
  { name: '128 more at 2048', rows: 1, tokens: 128, context: 2048 },
];
const runs = 24;

/** What ONNX Runtime writes; times in µs. */
interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** Names of nodes → parts; products first, all others by operator. */
const roles: readonly (readonly [RegExp, string])[] = [
  [/self_attn\.qkv/, 'product: q, k, v'],
  [/self_attn\.o_proj/, 'product: attention out'],
  [/mlp\.(gate|up)_proj/, 'product: gate, up'],
  [/mlp\.down_proj/, 'product: down'],
  [/^logits/, 'product: head'],
];

const directory = mkdtempSync(join(tmpdir(), 'sparklane-bench-'));
try {
  const [name = 'spark-nano', formats = 'w8a8', threads = '1'] = argv.slice(2);
  const model = loadModel(name);
  const checkpoint = loadCheckpoint(model.path);
  const { cacheDirectory } = loadConfig({ flags: {}, env: process.env });
  for (const format of formats.split(',')) {
    const precision = format.replace('+kv8', '') as Precision;
    const calibration = calibrationOn(calibrationTokens(model), Number(threads));
    const ownKernels = process.env['KERNELS'] !== 'onnxruntime' && nativeLibraryPath() !== null;
    const graph = await buildGraph(checkpoint, { precision, cacheDirectory, calibration, ownKernels });
    const options = { int8Kv: format.endsWith('+kv8'), threads: Number(threads) };
    const longest = graph.spec.contextLength;
    const some = cases.filter(({ tokens, context }) => context + tokens <= longest);
    const columns = some.map((one) => profileOf(graph, one, options));
    print(`${model.name}, ${format}, ${threads} threads, ms of a step`, some, columns);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

interface Column {
  readonly byPart: ReadonlyMap<string, number>; // µs
  readonly calls: ReadonlyMap<string, number>;
  readonly runUs: number;
}

function profileOf(
  graph: BuiltGraph,
  { rows, tokens, context }: Case,
  { int8Kv, threads }: { int8Kv: boolean; threads: number },
): Column {
  const prefix = join(directory, 'profile');
  const { modelPath } = int8Kv ? graph.int8Kv! : graph;
  const session = openSession(
    { modelPath, intraOpThreads: threads, spinning: threads > 1 },
    { ...measuredTuning, profilePrefix: prefix },
  );
  const seats = { slotCount: rows, slotTokensMax: context + tokens };
  const bindings = openBindings(graph, session, seats, int8Kv);
  const ids = randomTokens(new Random(7), rows * tokens);
  for (const [index, id] of ids.entries()) bindings.inputIds[index] = id;
  bindings.seqlensK.fill(context + tokens - 1);
  bindings.totalSequenceLength[0] = context + tokens;
  const logitRowCount = tokens > 1 ? 1 : rows;
  for (let i = 0; i < logitRowCount; i++) bindings.logitRows[i] = tokens > 1 ? tokens - 1 : i;
  const binding = bindings.get({ slotStart: 0, slotCount: rows, tokenCount: tokens, logitRowCount });
  for (let run = 0; run < runs; run++) binding.run();
  session.release(); // writes the file
  const file = readdirSync(directory).find((each) => each.startsWith('profile'))!;
  const events = JSON.parse(readFileSync(join(directory, file), 'utf8')) as ProfileEvent[];
  rmSync(join(directory, file));
  const fastest = new Map<string, { part: string; us: number }>(); // by node
  for (const { cat, name, dur, args } of events) {
    if (cat !== 'Node' || !name.endsWith('_kernel_time')) continue;
    const us = Math.min(dur, fastest.get(name)?.us ?? dur);
    fastest.set(name, { part: partOf(name, args?.op_name ?? name), us });
  }
  const byPart = new Map<string, number>();
  const calls = new Map<string, number>();
  for (const { part, us } of fastest.values()) {
    byPart.set(part, (byPart.get(part) ?? 0) + us);
    calls.set(part, (calls.get(part) ?? 0) + 1);
  }
  const runUs = Math.min(...events.filter(({ name }) => name === 'model_run').map(({ dur }) => dur));
  const operatorsUs = [...byPart.values()].reduce((sum, us) => sum + us, 0);
  byPart.set('between operators', Math.max(0, runUs - operatorsUs));
  return { byPart, calls, runUs };
}

function partOf(name: string, operator: string): string {
  if (!operator.startsWith('MatMul')) return operator;
  return roles.find(([pattern]) => pattern.test(name))?.[1] ?? operator;
}

function print(title: string, some: readonly Case[], columns: readonly Column[]): void {
  const first = columns[0]!;
  const parts = [...first.byPart].sort(([, a], [, b]) => b - a).map(([part]) => part);
  const cells = (values: readonly number[]) => values.map((us) => (us / 1000).toFixed(2)).join(' | ');
  console.log(`\n| ${title} | calls | ${some.map(({ name }) => name).join(' | ')} |`);
  console.log(`|---|---|${some.map(() => '---|').join('')}`);
  for (const part of parts) {
    const calls = first.calls.get(part);
    const us = columns.map(({ byPart }) => byPart.get(part) ?? 0);
    console.log(`| ${part} | ${calls === undefined ? '' : Math.round(calls)} | ${cells(us)} |`);
  }
  console.log(`| all | | ${cells(columns.map(({ runUs }) => runUs))} |`);
}
