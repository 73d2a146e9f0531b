// What denormals cost: the softmax over a long context is full of them. One graph opened twice, denormals kept and
// flushed, in turn over the KV of the same random tokens. Run: npx tsx test/bench/denormals.bench.ts [model] [precision]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import { measuredTuning, openSession } from '../../kernels/onnx/ort.ts';
import { Random } from '../../kernels/random.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { type BuiltGraph, buildGraph } from '../../models/graph/build.ts';
import type { Precision } from '../../models/graph/precision.ts';
import { resolveModel } from '../../models/model.ts';
import { openSeat } from './bare-seat.ts';
import { median, randomTokens } from './samples.ts';

const contexts = [128, 1024, 4096, 8064];
const chunk = 128;
const rounds = 9;
const threadCount = 1; // two sessions that both spin would disturb each other

const directory = mkdtempSync(join(tmpdir(), 'sparklane-bench-'));
try {
  const [model = 'spark-nano', precision = 'w8a8'] = argv.slice(2);
  const checkpoint = loadCheckpoint(resolveModel(model));
  await measure(
    await buildGraph(checkpoint, { precision: precision as Precision, cacheDirectory: directory }),
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function measure(graph: BuiltGraph): Promise<void> {
  const random = new Random(7);
  const tokens = randomTokens(random, 2 * contexts.at(-1)!);
  const arms = { kept: openArm(graph, false), flushed: openArm(graph, true) };
  const rows: Record<string, string | number>[] = [];
  let start = 0;
  for (const context of contexts) {
    for (const arm of [arms.kept, arms.flushed]) arm.fill(tokens.slice(start, context), start);
    start = context;
    const took = {
      token: { kept: [] as number[], flushed: [] as number[] },
      chunk: { kept: [] as number[], flushed: [] as number[] },
    };
    for (let round = -1; round < rounds; round++) {
      for (const name of round % 2 === 0 ? (['kept', 'flushed'] as const) : (['flushed', 'kept'] as const)) {
        const tokenMs = arms[name].run(tokens.slice(context, context + 1), context);
        const chunkMs = arms[name].run(tokens.slice(context, context + chunk), context);
        if (round < 0) continue; // warm-up
        took.token[name].push(tokenMs);
        took.chunk[name].push(chunkMs);
      }
    }
    rows.push({
      context,
      'a token, kept': median(took.token.kept).toFixed(2),
      flushed: median(took.token.flushed).toFixed(2),
      [`${chunk} tokens, kept`]: median(took.chunk.kept).toFixed(1),
      'flushed ': median(took.chunk.flushed).toFixed(1),
    });
  }
  console.log('ms, medians:');
  console.table(rows);
  for (const arm of Object.values(arms)) arm.release();
}

function openArm(graph: BuiltGraph, flushDenormals: boolean) {
  const session = openSession(
    { modelPath: graph.modelPath, intraOpThreads: threadCount, spinning: false },
    { ...measuredTuning, flushDenormals },
  );
  return { ...openSeat(graph, session, contexts.at(-1)! + 2 * chunk), release: () => session.release() };
}
