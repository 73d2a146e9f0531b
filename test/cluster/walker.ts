// A client of a cluster that checks every token: a native session that comes back after each lost connection. What it must hear was
// said before by a node that nothing happens to. Used by main.ts.
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../../kernels/random.ts';
import type { NativeClient } from '../../server/client/client.ts';
import type { ClientGeneration } from '../../server/client/client-generation.ts';
import type { ClientSession } from '../../server/client/client-session.ts';
import { NativeError } from '../../server/client/native-error.ts';
import { connect } from '../../server/client/published.ts';
import type { RecordedTurn } from './recorded.ts';

const GIVE_UP_MS = 30_000;

/** What a client says: turn after turn. */
export interface Plan {
  readonly seed: number;
  readonly turns: readonly RecordedTurn[];
  readonly pauseMs: number; // between turns
}

/** What it has heard. */
export interface Walk {
  readonly heard: readonly unknown[]; // tokens or text of each turn's answer
  readonly resumedMs: readonly number[]; // from each lost connection to what comes next
  readonly prompts: readonly Prompt[]; // of each turn's answer, where it is told
  readonly cutBy: readonly string[]; // nodes whose plain stream did not come to its end: asked again
  readonly refusals: readonly string[]; // before any answer began
}

/** What of a prompt did not have to be computed. */
export interface Prompt {
  readonly tokens: number;
  readonly cachedTokens: number;
}

export const HEARD_NOTHING: Walk = { heard: [], resumedMs: [], prompts: [], cutBy: [], refusals: [] };

interface Place {
  client: NativeClient;
  session: ClientSession;
  readonly id: string;
}

export async function walkSession(url: string, { seed, turns, pauseMs }: Plan): Promise<Walk> {
  const random = new Random(seed);
  const resumedMs: number[] = [];
  const heard: number[][] = [];
  const place = await openPlace(url);
  let position = 0;
  for (const [turn, { promptTokens, answerTokens }] of turns.entries()) {
    const tokens = Array.from({ length: promptTokens }, () => 10 + Math.floor(random.next() * 4000));
    heard.push(await walkTurn(url, place, { position, tokens, answerTokens, seed: seed + turn }, resumedMs));
    position += promptTokens + answerTokens;
    await pause(pauseMs);
  }
  place.client.close();
  return { ...HEARD_NOTHING, heard, resumedMs }; // its prompts are computed before it asks: they say nothing of caches
}

/** A session; where its node is lost before it has a name, another one. */
async function openPlace(url: string): Promise<Place> {
  for (const startMs = performance.now(); ; await pause(50)) {
    try {
      const client = await connect(url, { connectTimeoutMs: 3000 });
      const session = client.open({ temperature: 1 });
      return { client, session, id: (await session.opened).id };
    } catch (error) {
      if (performance.now() - startMs > GIVE_UP_MS || !(error instanceof NativeError)) throw error;
    }
  }
}

interface Turn {
  readonly position: number; // tokens before it
  readonly tokens: readonly number[];
  readonly answerTokens: number;
  readonly seed: number;
}

async function walkTurn(url: string, place: Place, turn: Turn, resumedMs: number[]): Promise<number[]> {
  const { position, tokens, answerTokens: maxTokens, seed } = turn;
  const answer: number[] = [];
  let running: ClientGeneration | null = null;
  let appended = false;
  for (let lost = false; ; lost = true) {
    try {
      if (lost) {
        const back = await comeBack(url, place, { running, index: answer.length }, resumedMs);
        appended = back.position > position;
        running = back.running;
      }
      if (!appended) await place.session.append({ tokens });
      appended = true;
      running ??= place.session.generate({ maxTokens, seed, ignoreStopTokens: true });
      for await (const { index, tokens: drawn } of running) {
        if (index !== answer.length) throw new Error(`token ${index} came, ${answer.length} was next`);
        answer.push(...drawn);
      }
      if ((await running.end).reason !== 'failed') return answer;
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
    }
  }
}

/** Another connection, to whatever node; tells where the session stands there. */
async function comeBack(
  url: string,
  place: Place,
  has: { readonly running: ClientGeneration | null; readonly index: number },
  resumedMs: number[],
): Promise<{ readonly position: number; readonly running: ClientGeneration | null }> {
  const lostMs = performance.now();
  const from = has.running === null ? null : { generation: has.running.generation, index: has.index };
  place.client.close({ keepSessions: true });
  for (;;) {
    try {
      place.client = await connect(url, { session: place.id, connectTimeoutMs: 3000 });
      place.session = place.client.resume(place.id, from);
      const going = from === null ? null : place.session.continued(from.generation);
      const told = await place.session.opened;
      if (told.type !== 'session.resumed') throw new Error(told.type);
      resumedMs.push(performance.now() - lostMs);
      const isKnown = from !== null && told.generation !== null && told.generation >= from.generation;
      return { position: told.position, running: isKnown ? going : null };
    } catch (error) {
      place.client.close({ keepSessions: true });
      if (performance.now() - lostMs > GIVE_UP_MS || !(error instanceof NativeError)) throw error;
      await pause(50);
    }
  }
}
