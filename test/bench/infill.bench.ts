// What an editor waits for at the cursor: POST /infill as llama.vscode asks, in the middle of 40 lines, on a model of 0.5 B's shape
// (random weights: as fast as the real one, saying nothing) and on spark-nano. "Asked again" is the place that the editor's warm-up
// request has computed; "typed" has one more character before the cursor, so that what stands behind it is computed anew.
// Needs dist/ (make build); writes 1.5 GB into the cache the first time. Run: npx tsx test/bench/infill.bench.ts [server flags]
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { prepareModel } from '../peer/peer-models.ts';
import { type Served, serve } from './served.ts';

const places = 10; // of the cursor
const typedPerPlace = 2; // characters, one request each
const lineTokens = 8; // of an answer: about the rest of a line
const linesBefore = 30;
const linesBehind = 10;

export interface InfillCost {
  readonly model: string;
  readonly device: string;
  readonly kind: 'asked again' | 'typed';
  readonly requests: number;
  readonly computedTokens: number; // of the prompt, median
  readonly firstMs: { readonly p50: number; readonly p95: number }; // to the first token
  readonly lineMs: { readonly p50: number; readonly p95: number }; // to the end of the answer
}

export async function infillBench(flags: readonly string[]): Promise<readonly InfillCost[]> {
  const costs: InfillCost[] = [];
  for (const [name, directory] of [
    ['spark-nano', 'spark-nano'],
    ['0.5 B', prepareModel('half-b').directory],
  ] as const) {
    const served = await serve(['--model', directory, '--context-tokens', '2048', ...flags]);
    try {
      costs.push(...(await costsOf(name, served)));
    } finally {
      await served.stop();
    }
  }
  return costs;
}

interface Sample {
  readonly firstMs: number;
  readonly lineMs: number;
  readonly computed: number;
}

async function costsOf(model: string, served: Served): Promise<readonly InfillCost[]> {
  const lines = readFileSync(join(import.meta.dirname, '../../server/engine/engine.ts'), 'utf8').split('\n');
  const again: Sample[] = [];
  const typed: Sample[] = [];
  for (let place = -2; place < places; place++) {
    const at = linesBefore + ((7 * (place + 2)) % (lines.length - linesBefore - linesBehind - 1));
    const line = lines[at]!;
    const half = Math.floor(line.length / 2);
    const before = `${lines.slice(at - linesBefore, at).join('\n')}\n`;
    const behind = `${line.slice(half)}\n${lines.slice(at + 1, at + 1 + linesBehind).join('\n')}`;
    const ask = (written: string, predict: number) =>
      infill(served.url, { input_prefix: before, prompt: written, input_suffix: behind, n_predict: predict });
    await ask(line.slice(0, half), 0); // the editor's warm-up
    const warm = await ask(line.slice(0, half), lineTokens);
    if (place >= 0) again.push(warm);
    for (let more = 1; more <= typedPerPlace; more++) {
      const sample = await ask(`${line.slice(0, half)}${'ab'.slice(0, more)}`, lineTokens);
      if (place >= 0) typed.push(sample);
    }
  }
  const { device } = served;
  return [
    { model, device, kind: 'asked again', ...summary(again) },
    { model, device, kind: 'typed', ...summary(typed) },
  ];
}

async function infill(url: string, body: object): Promise<Sample> {
  const startMs = performance.now();
  const response = await fetch(`${url}/infill`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true, temperature: 0, ignore_eos: true }),
  });
  if (!response.ok) throw new Error(`/infill: ${response.status} ${await response.text()}`);
  let text = '';
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) text += piece;
  const lineMs = performance.now() - startMs;
  const last = text.split('\n').findLast((line) => line.startsWith('data: {'));
  const { timings } = JSON.parse(last!.slice('data: '.length)) as { timings: Timings };
  // By the server's clock: random weights draw tokens without text, of which no event tells.
  return { firstMs: timings.prompt_ms, lineMs, computed: timings.prompt_n };
}

interface Timings {
  readonly prompt_n: number;
  readonly prompt_ms: number; // from its seat to the first token
}

function summary(samples: readonly Sample[]) {
  const sorted = (pick: (sample: Sample) => number) => samples.map(pick).sort((a, b) => a - b);
  const at = (values: readonly number[], share: number) =>
    values[Math.min(values.length - 1, Math.floor(share * values.length))]!;
  const both = (values: readonly number[]) => ({ p50: at(values, 0.5), p95: at(values, 0.95) });
  return {
    requests: samples.length,
    computedTokens: at(
      sorted(({ computed }) => computed),
      0.5,
    ),
    firstMs: both(sorted(({ firstMs }) => firstMs)),
    lineMs: both(sorted(({ lineMs }) => lineMs)),
  };
}

export function printInfill(costs: readonly InfillCost[]): void {
  console.log(
    `\n/infill in ${linesBefore + linesBehind} lines, ms (goal of 0.5 B, asked again: first token p95 150)`,
  );
  console.table(
    costs.map(({ model, kind, requests, computedTokens, firstMs, lineMs }) => ({
      ...{ model, kind, requests, 'prompt tokens computed': computedTokens },
      'first p50': firstMs.p50.toFixed(0),
      'first p95': firstMs.p95.toFixed(0),
      [`${lineTokens} tokens p50`]: lineMs.p50.toFixed(0),
      [`${lineTokens} tokens p95`]: lineMs.p95.toFixed(0),
    })),
  );
}

if (argv[1] === fileURLToPath(import.meta.url)) printInfill(await infillBench(argv.slice(2)));
