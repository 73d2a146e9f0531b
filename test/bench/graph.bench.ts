// Built graphs, measured: time per step by precision, threads and spinning; session options. Candidates are
// interleaved round by round, because a shared machine changes speed by the second. Accuracy: `make quality`.
// Run: npx tsx test/bench/graph.bench.ts [model directory or name]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, memoryUsage } from 'node:process';
import { measuredTuning, openSession, type SessionTuning } from '../../kernels/onnx/ort.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { type BuiltGraph, buildGraph } from '../../models/graph/build.ts';
import { type Precision, precisions } from '../../models/graph/precision.ts';
import { resolveModel } from '../../models/model.ts';
import { GraphRunner } from '../golden/graph-runner.ts';

interface Candidate {
  readonly name: string;
  readonly runner: GraphRunner;
  readonly times: Map<string, number[]>; // µs per step, by case
}

interface Case {
  readonly name: string;
  readonly count: number; // steps per round
  readonly step: (runner: GraphRunner) => void;
}

const roundCount = 8;
const contextTokens = 128;
const warmUpMs = 8; // a pool that spun for its last step must have given up before another is timed

const decode = (batch: number, past = contextTokens): Case => ({
  name: past === contextTokens ? `${batch} seq` : `1 @${past}`,
  count: Math.ceil(40 / batch),
  step: (runner) => runner.decode(0, tokensOf(batch), new Array<number>(batch).fill(past)),
});
const chunk = (size: number): Case => ({
  name: `chunk ${size}`,
  count: Math.max(2, Math.ceil(160 / size)),
  step: (runner) => runner.chunk(0, tokensOf(size), contextTokens),
});
const cases = [
  ...[1, 2, 4, 8, 16].map((batch) => decode(batch)),
  decode(1, 1000),
  ...[32, 64, 128, 256].map(chunk),
];

function tokensOf(count: number): number[] {
  return Array.from({ length: count }, (_, index) => (index * 37 + 11) % 300);
}

function open(graph: BuiltGraph, threads: number, spinning: boolean, tuning?: SessionTuning): GraphRunner {
  const options = { modelPath: graph.modelPath, intraOpThreads: threads, spinning };
  return new GraphRunner(openSession(options, tuning), graph, { slotCount: 16, capacity: 1024 });
}

function measure(candidates: readonly Candidate[], measured: readonly Case[]): void {
  for (let round = 0; round < roundCount; round++) {
    for (const { name, count, step } of measured) {
      for (const { runner, times } of candidates) {
        const start = performance.now();
        do step(runner);
        while (performance.now() - start < warmUpMs);
        const own = times.get(name) ?? [];
        for (let index = 0; index < count; index++) {
          const before = performance.now();
          step(runner);
          own.push(1000 * (performance.now() - before));
        }
        times.set(name, own);
      }
    }
  }
}

/** The share-th smallest. The first tenth stands for the machine when nobody else is on it. */
function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * share)]!;
}

function printTimes(title: string, candidates: readonly Candidate[], measured: readonly Case[]): void {
  console.log(`\n${title}: µs per step, p10 / p50`);
  console.log(''.padEnd(24), ...measured.map(({ name }) => name.padStart(13)));
  for (const { name, times } of candidates) {
    const cells = measured.map((each) => {
      const own = times.get(each.name)!;
      return `${quantile(own, 0.1).toFixed(0)} / ${quantile(own, 0.5).toFixed(0)}`.padStart(13);
    });
    console.log(name.padEnd(24), ...cells);
  }
  const rows = candidates.map(({ name, times }) => [
    name,
    Object.fromEntries([...times].map(([key, own]) => [key, [quantile(own, 0.1), quantile(own, 0.5)]])),
  ]);
  console.log(JSON.stringify({ title, us: Object.fromEntries(rows) }));
}

async function timesByThreads(graphs: ReadonlyMap<Precision, BuiltGraph>): Promise<void> {
  for (const [threads, spinning] of [
    [1, false],
    [2, false],
    [2, true],
  ] as const) {
    const candidates = [...graphs].map(([name, graph]) => ({
      name,
      runner: open(graph, threads, spinning),
      times: new Map<string, number[]>(),
    }));
    measure(candidates, cases);
    printTimes(`${threads} threads, spinning ${spinning ? 'on' : 'off'}`, candidates, cases);
    for (const { runner } of candidates) runner.release();
  }
}

function timesByTuning(graph: BuiltGraph): void {
  const tunings: Record<string, SessionTuning> = {
    'as measured': measuredTuning,
    'optimisation extended': { ...measuredTuning, graphOptimizationLevel: 'extended' },
    'optimisation basic': { ...measuredTuning, graphOptimizationLevel: 'basic' },
    'optimisation none': { ...measuredTuning, graphOptimizationLevel: 'none' },
    'no memory pattern': { ...measuredTuning, memoryPattern: false },
    'no arena': { ...measuredTuning, memoryPattern: false, memoryArena: false },
  };
  const candidates = Object.entries(tunings).map(([name, tuning]) => ({
    name,
    runner: open(graph, 1, false, tuning),
    times: new Map<string, number[]>(),
  }));
  const some = cases.filter(({ name }) => ['1 seq', '4 seq', 'chunk 128'].includes(name));
  measure(candidates, some);
  printTimes(`session options, ${graph.precision}, 1 thread`, candidates, some);
  for (const { runner } of candidates) runner.release();
}

/** Start-up of one graph: time and memory to open, first step, a later one. */
function startUp(graph: BuiltGraph): Record<string, number> {
  const before = memoryUsage().rss;
  const start = performance.now();
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 1, spinning: false });
  const openMs = performance.now() - start;
  const openedSize = memoryUsage().rss - before;
  const runner = new GraphRunner(session, graph, { slotCount: 1, capacity: 1024 });
  const first = performance.now();
  runner.chunk(0, tokensOf(128), 0);
  const firstChunkMs = performance.now() - first;
  const later = performance.now();
  runner.chunk(0, tokensOf(128), 0);
  const laterChunkMs = performance.now() - later;
  runner.release();
  return { openMs, openedMb: openedSize / 2 ** 20, firstChunkMs, laterChunkMs };
}

/** How many tokens a decoded continuation keeps when its prompt was computed by single tokens instead of chunks. */
function decodeAgainstChunk(graphs: ReadonlyMap<Precision, BuiltGraph>): void {
  console.log(
    '\ngreedy tokens kept (of 48) when the prompt was computed token by token instead of in chunks',
  );
  for (const [precision, graph] of graphs) {
    const runner = open(graph, 1, false);
    const kept = [1, 2, 3, 4, 5, 6].map((seed) => {
      const prompt = Array.from({ length: 96 }, (_, index) => (index * 53 + seed * 197) % 300);
      const [chunked, single] = [128, 1].map((size) => {
        const { topIds } = runner.prefill(0, prompt, size);
        return runner.greedy(0, topIds[0]!, prompt.length, 48);
      });
      const first = chunked!.findIndex((token, index) => token !== single![index]);
      return first < 0 ? 48 : first;
    });
    console.log(precision.padEnd(6), kept.join(' '));
    runner.release();
  }
}

function integerLoopMs(): number {
  const start = performance.now();
  let sum = 0;
  for (let index = 0; index < 3e8; index++) sum = (sum + index) | 0;
  return performance.now() - start + (sum & 0);
}

const directory = resolveModel(argv[2] ?? 'spark-nano');
const cacheDirectory = mkdtempSync(join(tmpdir(), 'sparklane-bench-'));
try {
  console.log(`integer loop of 3·10⁸ steps: ${integerLoopMs().toFixed(0)} ms`);
  const checkpoint = loadCheckpoint(directory);
  const graphs = new Map<Precision, BuiltGraph>();
  for (const precision of precisions) {
    const start = performance.now();
    graphs.set(precision, await buildGraph(checkpoint, { precision, cacheDirectory }));
    const buildMs = performance.now() - start;
    const again = performance.now();
    await buildGraph(checkpoint, { precision, cacheDirectory });
    const foundMs = performance.now() - again;
    console.log(
      precision.padEnd(6),
      JSON.stringify({ buildMs, foundMs, ...startUp(graphs.get(precision)!) }),
    );
  }
  await timesByThreads(graphs);
  timesByTuning(graphs.get('w8a8')!);
  decodeAgainstChunk(graphs);
} finally {
  rmSync(cacheDirectory, { recursive: true, force: true });
}
