// Where the microseconds of a token go, operator by operator: ONNX Runtime's own profile of single-token runs at growing
// context, KV of random tokens before them. One thread, so that the parts add up. Profiling itself costs about a
// microsecond an operator. Run: npx tsx test/bench/profile.bench.ts [model] [precision]
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import { measuredTuning, openSession } from '../../kernels/onnx/ort.ts';
import { Random } from '../../kernels/random.ts';
import { loadCheckpoint } from '../../models/checkpoint.ts';
import { type BuiltGraph, buildGraph } from '../../models/graph/build.ts';
import type { Precision } from '../../models/graph/precision.ts';
import { resolveModel } from '../../models/model.ts';
import { openSeat } from './bare-seat.ts';
import { randomTokens } from './samples.ts';

const contexts = [128, 2048, 8192];
const runs = 60;

/** What ONNX Runtime writes; times in µs. */
interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

const directory = mkdtempSync(join(tmpdir(), 'sparklane-bench-'));
try {
  const [model = 'spark-nano', precision = 'w8a8'] = argv.slice(2);
  const checkpoint = loadCheckpoint(resolveModel(model));
  const graph = await buildGraph(checkpoint, {
    precision: precision as Precision,
    cacheDirectory: directory,
  });
  const columns = contexts.map((context) => profileAt(graph, context));
  const operators = new Set(columns.flatMap(({ byOperator }) => [...byOperator.keys()]));
  const rows = [...operators].map((operator) => ({
    operator,
    calls: columns[0]!.counts.get(operator) ?? 0,
    us: columns.map(({ byOperator }) => byOperator.get(operator) ?? 0),
  }));
  console.log(`| µs of a token, at context | calls | ${contexts.join(' | ')} |`);
  console.log(`|---|---|${contexts.map(() => '---|').join('')}`);
  for (const { operator, calls, us } of rows.sort((a, b) => b.us[0]! - a.us[0]!)) {
    console.log(
      `| ${operator} | ${Math.round(calls)} | ${us.map((value) => value.toFixed(0)).join(' | ')} |`,
    );
  }
  console.log(
    `| between operators | | ${columns.map(({ betweenUs }) => betweenUs.toFixed(0)).join(' | ')} |`,
  );
  console.log(`| the run | | ${columns.map(({ runUs }) => runUs.toFixed(0)).join(' | ')} |`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/** Means over the later half of the runs. */
function profileAt(graph: BuiltGraph, context: number) {
  const prefix = join(directory, `profile-${context}`);
  const session = openSession(
    { modelPath: graph.modelPath, intraOpThreads: 1, spinning: false },
    { ...measuredTuning, profilePrefix: prefix },
  );
  const seat = openSeat(graph, session, context + 1);
  seat.fill(randomTokens(new Random(7), context), 0);
  for (let run = 0; run < runs; run++) seat.run([run], context);
  session.release(); // writes the file
  const file = readdirSync(directory).find((name) => name.startsWith(`profile-${context}`))!;
  const events = JSON.parse(readFileSync(join(directory, file), 'utf8')) as ProfileEvent[];
  const lastRuns = events.filter(({ name }) => name === 'model_run').slice(-runs / 2);
  const startUs = lastRuns[0]!.ts;
  const byOperator = new Map<string, number>();
  const counts = new Map<string, number>();
  let operatorsUs = 0;
  for (const { cat, name, ts, dur, args } of events) {
    if (cat !== 'Node' || ts < startUs || !name.endsWith('_kernel_time')) continue;
    const operator = args?.op_name ?? name;
    byOperator.set(operator, (byOperator.get(operator) ?? 0) + dur / lastRuns.length);
    counts.set(operator, (counts.get(operator) ?? 0) + 1 / lastRuns.length);
    operatorsUs += dur / lastRuns.length;
  }
  const runUs = lastRuns.reduce((sum, { dur }) => sum + dur, 0) / lastRuns.length;
  return { byOperator, counts, runUs, betweenUs: runUs - operatorsUs };
}
