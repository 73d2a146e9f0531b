// What a seat saves that keeps a session's KV between turns: first token of a turn behind a history, from a server that keeps
// seats (--keep-seats on) and from one that copies the history back (off), in turn. A turn is a few new tokens; ratios
// within one run. Needs dist/ (make build). Run: npx tsx test/bench/seat.bench.ts [server flags]
import { argv } from 'node:process';
import { Random } from '../../kernels/random.ts';
import type { ClientSession } from '../../server/client/client-session.ts';
import { firstToken } from './first-token.ts';
import { median, randomTokens } from './samples.ts';
import { type Served, serve } from './served.ts';

const historyCounts = [1000, 2000, 4000]; // tokens
const newCount = 16; // tokens of a turn
const rounds = 21;

const modes = ['on', 'off'] as const;
type Mode = (typeof modes)[number];

interface TurnTimes {
  readonly historyTokens: number;
  readonly ms: Readonly<Record<Mode, number>>; // medians, to the first token
  readonly ratio: number; // median over rounds of on / off
  readonly low: number; // its quartiles
  readonly high: number;
  readonly keptShare: number; // of the history, as the server that keeps seats counts it
}

async function seatBench(flags: readonly string[]): Promise<readonly TurnTimes[]> {
  const servers = new Map<Mode, Served>();
  try {
    for (const mode of modes) servers.set(mode, await serve([`--keep-seats=${mode}`, ...flags]));
    console.log(servers.get('on')!.device);
    const times: TurnTimes[] = [];
    for (const count of historyCounts) times.push(await turnTimes(servers, count));
    return times;
  } finally {
    for (const served of servers.values()) await served.stop();
  }
}

async function turnTimes(servers: ReadonlyMap<Mode, Served>, historyTokens: number): Promise<TurnTimes> {
  const keeping = servers.get('on')!;
  const keptBefore = await keeping.metric('sparklane_kept_tokens_total');
  const sessions = new Map<Mode, ClientSession>();
  const closing: (() => void)[] = [];
  for (const [mode, served] of servers) {
    const client = await served.connect();
    closing.push(() => client.close());
    const session = client.open({ temperature: 0 });
    const prefilled = session.nextPrefilled();
    await session.append({ tokens: randomTokens(new Random(historyTokens), historyTokens) });
    await prefilled;
    sessions.set(mode, session);
  }
  const took: Record<Mode, number>[] = [];
  let askedTokens = 0;
  for (let round = -3; round < rounds; round++) {
    const ms = { on: 0, off: 0 };
    const fresh = randomTokens(new Random(round + 100), newCount);
    // Whoever is first by turns: what the other leaves in the processor's caches helps neither.
    for (const mode of round % 2 === 0 ? modes : modes.toReversed())
      ms[mode] = await firstToken(sessions.get(mode)!, fresh);
    askedTokens += historyTokens + (round + 3) * (newCount + 2);
    if (round >= 0) took.push(ms);
  }
  const kept = (await keeping.metric('sparklane_kept_tokens_total')) - keptBefore;
  for (const close of closing) close();
  const ratios = took.map(({ on, off }) => on / off).toSorted((a, b) => a - b);
  return {
    historyTokens,
    ms: { on: median(took.map(({ on }) => on)), off: median(took.map(({ off }) => off)) },
    ratio: median(ratios),
    low: ratios[Math.floor(rounds / 4)]!,
    high: ratios[Math.floor((3 * rounds) / 4)]!,
    keptShare: kept / askedTokens,
  };
}

const times = await seatBench(argv.slice(2));
console.log(`first token of a turn of ${newCount} new tokens, medians of ${rounds} interleaved rounds`);
console.table(
  times.map(({ historyTokens, ms, ratio, low, high, keptShare }) => ({
    history: historyTokens,
    'copied back, ms': ms.off.toFixed(1),
    'kept in the seat, ms': ms.on.toFixed(1),
    'kept / copied': `${ratio.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`,
    'of the history found in the seat': `${(100 * keptShare).toFixed(0)} %`,
  })),
);
