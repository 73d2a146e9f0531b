// One session of 130,560 tokens on a random model of 2 layers with 131,072 tokens of context: what it holds in memory
// against what the server said at start, and the first token after a question. Takes about five minutes.
// Run: npx tsx test/bench/long-session.bench.ts [server flags]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import type { ClientSession } from '../../server/client/client-session.ts';
import { writeTinyModel } from '../golden/tiny-model.ts';
import { serve } from './served.ts';

const contextLength = 131_072;
const appendCount = 32;
const appendTokens = 4080;
const newTokens = 64;

async function firstTokenMs(session: ClientSession): Promise<number> {
  const startMs = performance.now();
  let firstMs = 0;
  const answer = session.generate({ maxTokens: 8 }, () => {
    firstMs ||= performance.now();
  });
  await answer.end;
  return firstMs - startMs;
}

const directory = mkdtempSync(join(tmpdir(), 'sparklane-long-'));
const model = writeTinyModel(join(directory, 'model'), { stops: false, contextLength, layerCount: 2 });
const cache = `--cache-directory=${join(directory, 'cache')}`;
const served = await serve([`--model=${model}`, '--precision=fp32', '--slots=2', cache, ...argv.slice(2)]);
try {
  console.log(served.device);
  const client = await served.connect();
  const session = client.open({ temperature: 0 });
  const startMs = performance.now();
  for (let append = 0; append < appendCount; append++) {
    const prefilled = session.nextPrefilled();
    const tokens = Array.from({ length: appendTokens }, (_, index) => (index * 31 + append * 7) % 250);
    const { position } = await session.append({ tokens });
    await prefilled;
    if (append % 8 !== 7) continue;
    const seconds = (performance.now() - startMs) / 1000;
    const mib = (await served.rssBytes()) / 2 ** 20;
    console.log(`${position} tokens after ${seconds.toFixed(0)} s, ${mib.toFixed(0)} MiB resident`);
  }
  console.log(`first token ${(await firstTokenMs(session)).toFixed(0)} ms after the question`);
  await session.append({ tokens: Array.from({ length: newTokens }, (_, index) => index) });
  console.log(`and ${(await firstTokenMs(session)).toFixed(0)} ms after ${newTokens} more tokens`);
  client.close();
} finally {
  await served.stop();
  rmSync(directory, { recursive: true, force: true });
}
