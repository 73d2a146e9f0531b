// KV as int8 against fp32 on spark-nano: what it costs in truth (next-token log-probabilities along TypeScript that the
// calibration has not seen) and what it brings in time (one token at growing context, a chunk of 64).
// Run: npx tsx test/bench/kv.bench.ts
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import { defaultPrecision } from '../../models/graph/precision.ts';
import { loadModel, type Model } from '../../models/model.ts';
import { CpuRig, greedy } from '../cpu-rig.ts';

const textTokens = 2000; // of a file of this repository
const contexts = [128, 2048, 8192];
const chunk = 64;
const rounds = 15;
const sampling = { ...greedy, logprobs: 8 };

type Next = { readonly top: number; readonly logprobs: ReadonlyMap<number, number> };

async function open(directory: string, model: Model, precision: 'fp32' | 'int8'): Promise<CpuRig> {
  const checkpoint = loadCheckpoint(model.path);
  const weights = { precision: defaultPrecision(checkpoint.spec, checkpoint), cacheDirectory: directory };
  const calibration = Int32Array.from(
    model.tokenizer.encode(readFileSync('server/http/sse.ts', 'utf8')).slice(0, 512),
  );
  return CpuRig.open(await buildGraph(checkpoint, weights), {
    int8Kv: precision === 'fp32' ? null : { tokens: calibration, file: join(directory, 'scales.bin') },
    sizes: {
      slotCount: 1,
      slotTokensMax: 9000,
      blockSize: 16,
      blockCount: 1,
      rowTokensMax: 64,
      sampleCountMax: 64,
    },
    threadCount: 2,
    spinning: true,
  });
}

/** What follows each token of `text`, computed in chunks. */
async function along(rig: CpuRig, text: readonly number[]): Promise<Next[]> {
  const found: Next[] = [];
  for (let position = 0; position < text.length; position += chunk) {
    const tokens = text.slice(position, position + chunk);
    const [row] = await rig.step({
      rows: [{ slot: 0, position, tokens, sampleCount: tokens.length, sampling }],
    });
    for (const { topTokens, topLogprobs } of row!.logprobs!)
      found.push({
        top: topTokens[0]!,
        logprobs: new Map(Array.from(topTokens, (id, i) => [id, topLogprobs[i]!])),
      });
  }
  rig.backend.releaseSlot(0, 0);
  return found;
}

function printTruth(exact: readonly Next[], rounded: readonly Next[]): void {
  const agreed = exact.filter(({ top }, index) => rounded[index]!.top === top).length;
  const errors = exact
    .map(({ top, logprobs }, index) =>
      Math.abs(logprobs.get(top)! - (rounded[index]!.logprobs.get(top) ?? -20)),
    )
    .toSorted((a, b) => a - b);
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  const p99 = errors[Math.floor(errors.length * 0.99)]!;
  console.log(
    `${exact.length} places: the same likeliest token at ${((100 * agreed) / exact.length).toFixed(1)} %, its ` +
      `log-probability off by ${mean.toFixed(4)} nats on average, ${p99.toFixed(3)} at the 99th percentile`,
  );
}

/** Medians in ms: one token, then a chunk, on `context` tokens. */
async function times(rigs: Readonly<Record<string, CpuRig>>, context: number) {
  const took: Record<string, { token: number[]; chunk: number[] }> = {};
  for (const [name, rig] of Object.entries(rigs)) {
    took[name] = { token: [], chunk: [] };
    for (let position = 0; position < context; position += chunk)
      await rig.step({ rows: [{ slot: 0, position, tokens: new Array(chunk).fill(100), sampleCount: 0 }] });
  }
  const timed = async (rig: CpuRig, count: number) => {
    const startMs = performance.now();
    await rig.step({ rows: [{ slot: 0, position: context, tokens: new Array(count).fill(100) }] });
    return performance.now() - startMs;
  };
  for (let round = -2; round < rounds; round++)
    for (const [name, rig] of Object.entries(rigs)) {
      const [token, whole] = [await timed(rig, 1), await timed(rig, chunk)];
      if (round < 0) continue;
      took[name]!.token.push(token);
      took[name]!.chunk.push(whole);
    }
  const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
  for (const rig of Object.values(rigs)) rig.backend.releaseSlot(0, 0);
  const row: Record<string, string | number> = { context };
  for (const [name, { token, chunk: whole }] of Object.entries(took)) {
    row[`${name}: a token, ms`] = median(token).toFixed(2);
    row[`${name}: ${chunk} tokens, ms`] = median(whole).toFixed(1);
  }
  return row;
}

export async function kvBench(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-kv-'));
  const model = loadModel('spark-nano');
  const rigs = {
    fp32: await open(directory, model, 'fp32'),
    int8: await open(directory, model, 'int8'),
  };
  try {
    const text = [...model.tokenizer.encode(readFileSync('server/engine/engine.ts', 'utf8'))].slice(
      0,
      textTokens,
    );
    printTruth(await along(rigs.fp32, text), await along(rigs.int8, text));
    const rows = [];
    for (const context of contexts) rows.push(await times(rigs, context));
    console.table(rows);
  } finally {
    for (const rig of Object.values(rigs)) await rig.backend.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

if (argv[1] === import.meta.filename) await kvBench();
