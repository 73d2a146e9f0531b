// What sessions save, over real sockets: a turn of a session against the same prompt computed anew, a persistent
// WebSocket against a new HTTP connection per turn, stop and steer, and a session found on disk after kill -9. Ratios
// within one run. Needs dist/ (make build). Run: npx tsx test/bench/session.bench.ts [server flags]
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import { Random } from '../../kernels/random.ts';
import type { NativeClient } from '../../server/client/client.ts';
import type { ClientSession } from '../../server/client/client-session.ts';
import { firstToken } from './first-token.ts';
import { median, randomTokens } from './samples.ts';
import { type Served, serve } from './served.ts';

const historyCounts = [1000, 4000, 8000]; // tokens
const textCounts = [1000, 4000, 12_000]; // words of history, about a token each
const newCount = 64; // tokens of a turn
const rounds = 3;
const turnRounds = 40;

export interface TurnCost {
  readonly historyTokens: number;
  readonly sessionMs: number; // median time to first token: the new tokens appended to a session
  readonly cachedMs: number; // everything sent again, to a server that has cached it
  readonly statelessMs: number; // everything sent again, nothing cached
  readonly ratio: number; // median over rounds of session / stateless
}

export interface RoundTripCost {
  readonly historyTokens: number;
  readonly engineMs: number; // of the one-token turn itself; taken off below
  readonly webSocketMs: number; // medians
  readonly keepAliveMs: number;
  readonly newConnectionMs: number;
}

export interface SessionCosts {
  readonly device: string;
  readonly turns: readonly TurnCost[];
  readonly roundTrips: readonly RoundTripCost[];
  readonly stop: { readonly tpotMs: number; readonly tokensAfter: number; readonly lastTokenMs: number };
  readonly steer: { readonly idleTtftMs: number; readonly steerTtftMs: number; readonly tpotMs: number };
  readonly restart: {
    readonly historyTokens: number;
    readonly prefillMs: number;
    readonly diskMs: number;
    readonly cachedTokens: number;
  };
}

export async function sessionBench(flags: readonly string[]): Promise<SessionCosts> {
  const served = await serve(flags);
  try {
    const client = await served.connect();
    await turnCost(client, 500, 1); // warm
    const turns: TurnCost[] = [];
    for (const count of historyCounts) turns.push(await turnCost(client, count, rounds));
    const roundTrips: RoundTripCost[] = [];
    for (const count of textCounts) roundTrips.push(await roundTripCost(served, client, count));
    const stop = await stopCost(client);
    const steer = await steerCost(client);
    client.close();
    const costs = { device: served.device, turns, roundTrips, stop, steer };
    return { ...costs, restart: await restartCost(flags) };
  } finally {
    await served.stop();
  }
}

/** Session, cached and stateless in turn, so that a slower minute slows all of them. */
async function turnCost(client: NativeClient, historyTokens: number, count: number): Promise<TurnCost> {
  const random = new Random(historyTokens);
  const took: { session: number; cached: number; stateless: number }[] = [];
  for (let round = 0; round < count; round++) {
    const history = randomTokens(random, historyTokens);
    const session = await prefilled(client, history);
    const fresh = randomTokens(random, newCount);
    const inSession = await firstToken(session, fresh);
    await session.close();
    const cached = await askOnce(client, [...history, ...randomTokens(random, newCount)]);
    const stateless = await askOnce(client, randomTokens(random, historyTokens + newCount));
    took.push({ session: inSession, cached, stateless });
  }
  return {
    historyTokens,
    sessionMs: median(took.map(({ session }) => session)),
    cachedMs: median(took.map(({ cached }) => cached)),
    statelessMs: median(took.map(({ stateless }) => stateless)),
    ratio: median(took.map(({ session, stateless }) => session / stateless)),
  };
}

/** A session that holds the tokens, all computed. */
async function prefilled(client: NativeClient, tokens: number[]): Promise<ClientSession> {
  const session = client.open({ temperature: 0 });
  const report = session.nextPrefilled();
  await session.append({ tokens });
  await report;
  return session;
}

async function askOnce(client: NativeClient, tokens: number[]): Promise<number> {
  const session = client.open({ temperature: 0 });
  const ms = await firstToken(session, tokens);
  await session.close();
  return ms;
}

/** One new word in, one token out, on a history of `wordCount` words of text, as chat clients have it. */
async function roundTripCost(
  served: Served,
  client: NativeClient,
  wordCount: number,
): Promise<RoundTripCost> {
  const random = new Random(3);
  const word = () => words[random.integer(0, words.length - 1)]!;
  const history = Array.from({ length: wordCount }, word).join(' ');
  const session = client.open({ temperature: 0 });
  const report = session.nextPrefilled();
  const { position: historyTokens } = await session.append({ text: history });
  await report;
  const took: { engine: number; webSocket: number; keepAlive: number; newConnection: number }[] = [];
  for (let round = -5; round < turnRounds; round++) {
    const text = ` ${word()} ${word()}`;
    const startMs = performance.now();
    void session.append({ text });
    const end = await session.generate({ maxTokens: 1, ignoreStopTokens: true }).end;
    const webSocket = performance.now() - startMs;
    await session.edit({ start: historyTokens, count: end.position - historyTokens }); // the next turn starts here
    const body = JSON.stringify({
      model: 'spark-nano',
      prompt: history + text,
      max_tokens: 1,
      temperature: 0,
    });
    const keepAlive = await timed(() => post(served.url, body, true));
    const newConnection = await timed(() => post(served.url, body, false));
    if (round >= 0) took.push({ engine: end.timings.totalUs / 1000, webSocket, keepAlive, newConnection });
  }
  await session.close();
  return {
    historyTokens,
    engineMs: median(took.map(({ engine }) => engine)),
    webSocketMs: median(took.map(({ webSocket, engine }) => webSocket - engine)),
    keepAliveMs: median(took.map(({ keepAlive, engine }) => keepAlive - engine)),
    newConnectionMs: median(took.map(({ newConnection, engine }) => newConnection - engine)),
  };
}

const words = [
  'const',
  'value',
  '=',
  'await',
  'load',
  '(',
  'file',
  ')',
  ';',
  'return',
  'if',
  '{',
  '}',
  'index',
];

async function timed(act: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await act();
  return performance.now() - startMs;
}

async function post(url: string, body: string, keepAlive: boolean): Promise<void> {
  if (keepAlive) {
    const response = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    await response.text();
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request(`${url}/v1/completions`, { method: 'POST', agent: false, headers }, (response) => {
      response.resume();
      response.once('end', resolve);
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

async function stopCost(client: NativeClient): Promise<SessionCosts['stop']> {
  const random = new Random(4);
  const took: { tpot: number; after: number; last: number }[] = [];
  for (let round = 0; round < 4 * rounds; round++) {
    const session = await prefilled(client, randomTokens(random, 500));
    const arrivals: number[] = [];
    let stopMs = 0;
    const options = { maxTokens: 400, ignoreStopTokens: true, speculation: false };
    const answer = session.generate(options, ({ tokens }) => {
      for (const _ of tokens) arrivals.push(performance.now());
      if (arrivals.length < 100 || stopMs > 0) return;
      stopMs = performance.now();
      answer.cancel();
    });
    await answer.end;
    const after = arrivals.filter((ms) => ms > stopMs);
    took.push({
      tpot: (stopMs - arrivals[0]!) / 99,
      after: after.length,
      last: (after.at(-1) ?? stopMs) - stopMs,
    });
    await session.close();
  }
  return {
    tpotMs: median(took.map(({ tpot }) => tpot)),
    tokensAfter: Math.max(...took.map(({ after }) => after)),
    lastTokenMs: median(took.map(({ last }) => last)),
  };
}

async function steerCost(client: NativeClient): Promise<SessionCosts['steer']> {
  const random = new Random(5);
  const took: { idle: number; steer: number; tpot: number }[] = [];
  for (let round = 0; round < 2 * rounds; round++) {
    const idleSession = await prefilled(client, randomTokens(random, 2000));
    const idle = await firstToken(idleSession, randomTokens(random, newCount));
    await idleSession.close();
    const session = await prefilled(client, randomTokens(random, 2000));
    let count = 0;
    let startMs = 0;
    let steeredMs = 0;
    let tpot = 0;
    const options = { maxTokens: 400, ignoreStopTokens: true, speculation: false };
    const begunMs = performance.now();
    const steered = await new Promise<{ end: Promise<unknown> }>((resolve) => {
      const answer = session.generate(options, ({ tokens }) => {
        count += tokens.length;
        if (count < 100 || startMs > 0) return;
        startMs = performance.now();
        tpot = (startMs - begunMs) / count;
        const fresh = { tokens: randomTokens(random, newCount) };
        const next = session.steer(answer, fresh, { ...options, maxTokens: 2 }, () => {
          steeredMs ||= performance.now();
        });
        resolve(next);
      });
    });
    await steered.end;
    took.push({ idle, steer: steeredMs - startMs, tpot });
    await session.close();
  }
  return {
    idleTtftMs: median(took.map(({ idle }) => idle)),
    steerTtftMs: median(took.map(({ steer }) => steer)),
    tpotMs: median(took.map(({ tpot }) => tpot)),
  };
}

/** A server with KV on disk is killed; the next one is asked for what the first one knew. */
async function restartCost(flags: readonly string[]): Promise<SessionCosts['restart']> {
  const historyTokens = 4000;
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-bench-'));
  const kv = [...flags, '--kv-disk-size', '4GiB', '--kv-disk-directory', directory];
  try {
    const random = new Random(6);
    const histories = Array.from({ length: rounds }, () => randomTokens(random, historyTokens));
    const first = await serve(kv);
    const before = await first.connect();
    for (const history of histories) await (await prefilled(before, history)).close();
    for (let size = -1; ; ) {
      const now = await first.metric('sparklane_kv_disk_size_bytes');
      if (now === size) break; // nothing waits to be written any more
      size = now;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    before.close();
    await first.kill();
    const second = await serve(kv);
    const client = await second.connect();
    await askOnce(client, randomTokens(random, 500)); // warm
    const took: { disk: number; prefill: number }[] = [];
    for (const history of histories) {
      const disk = await askOnce(client, [...history, ...randomTokens(random, newCount)]);
      took.push({ disk, prefill: await askOnce(client, randomTokens(random, historyTokens + newCount)) });
    }
    const hits = await second.metric('sparklane_cache_hit_tokens_total{tier="disk"}');
    client.close();
    await second.stop();
    return {
      historyTokens,
      prefillMs: median(took.map(({ prefill }) => prefill)),
      diskMs: median(took.map(({ disk }) => disk)),
      cachedTokens: Math.round(hits / rounds),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function printSession(costs: SessionCosts): void {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  console.log(`\nSessions: ${costs.device}`);
  console.log(`time to first token of a turn of ${newCount} new tokens, ms (bound: 5 % at 4000)`);
  console.table(
    costs.turns.map(({ historyTokens, sessionMs, cachedMs, statelessMs, ratio }) => ({
      history: historyTokens,
      session: sessionMs.toFixed(1),
      'sent again, cached': cachedMs.toFixed(1),
      'sent again, computed': statelessMs.toFixed(1),
      'session / computed': percent(ratio),
    })),
  );
  const { roundTrips, stop, steer, restart } = costs;
  console.log('overhead of a turn, ms (bound of what is saved: 90 %; OpenAI reports 80 %)');
  console.table(
    roundTrips.map(({ historyTokens, webSocketMs, keepAliveMs, newConnectionMs }) => ({
      history: historyTokens,
      WebSocket: webSocketMs.toFixed(2),
      'HTTP kept alive': keepAliveMs.toFixed(2),
      'new connection': newConnectionMs.toFixed(2),
      saved: percent(1 - webSocketMs / newConnectionMs),
    })),
  );
  console.log(
    `stop to last token: ${stop.lastTokenMs.toFixed(2)} ms, at most ${stop.tokensAfter} tokens; ` +
      `a step takes ${stop.tpotMs.toFixed(2)} ms`,
  );
  console.log(
    `steer to first token: ${steer.steerTtftMs.toFixed(1)} ms; the same tokens on an idle session ` +
      `${steer.idleTtftMs.toFixed(1)} ms, a step ${steer.tpotMs.toFixed(2)} ms`,
  );
  console.log(
    `after kill -9: ${restart.historyTokens} tokens from disk ${restart.diskMs.toFixed(1)} ms ` +
      `(${restart.cachedTokens} found), computed ${restart.prefillMs.toFixed(1)} ms: ` +
      `${(restart.prefillMs / restart.diskMs).toFixed(1)} times as fast (bound 10)`,
  );
}

if (argv[1] === import.meta.filename) printSession(await sessionBench(argv.slice(2)));
