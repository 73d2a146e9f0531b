// Clients of a cluster that check every token: a native session that comes back after each lost connection, and chats as streams of
// events. What they must hear was said before by a node that nothing happens to. Used by main.ts.
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../../kernels/random.ts';
import type { NativeClient } from '../../server/client/client.ts';
import type { ClientGeneration } from '../../server/client/client-generation.ts';
import type { ClientSession } from '../../server/client/client-session.ts';
import { NativeError } from '../../server/client/native-error.ts';
import { connect } from '../../server/client/published.ts';

const TURNS = 8;
const ANSWER_TOKENS = 100;
const GIVE_UP_MS = 30_000;

/** Tokens of each turn's answer. */
export type Heard = readonly (readonly number[])[];

export interface Walk {
  readonly heard: Heard;
  readonly resumedMs: readonly number[]; // from each lost connection to its session on another one
}

interface Place {
  client: NativeClient;
  session: ClientSession;
  readonly id: string;
}

/** `pauseMs` between turns. */
export async function walkSession(url: string, seed: number, pauseMs: number): Promise<Walk> {
  const random = new Random(seed);
  const prompts = Array.from({ length: TURNS }, () =>
    Array.from({ length: 40 }, () => 10 + Math.floor(random.next() * 4000)),
  );
  const resumedMs: number[] = [];
  const heard: number[][] = [];
  const client = await connect(url);
  const session = client.open({ temperature: 1 });
  const place: Place = { client, session, id: (await session.opened).id };
  let position = 0;
  for (const [turn, tokens] of prompts.entries()) {
    heard.push(await walkTurn(url, place, { position, tokens, seed: seed + turn }, resumedMs));
    position += tokens.length + ANSWER_TOKENS;
    await pause(pauseMs);
  }
  place.client.close();
  return { heard, resumedMs };
}

interface Turn {
  readonly position: number; // tokens before it
  readonly tokens: readonly number[];
  readonly seed: number;
}

async function walkTurn(url: string, place: Place, turn: Turn, resumedMs: number[]): Promise<number[]> {
  const { position, tokens, seed } = turn;
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
      running ??= place.session.generate({ maxTokens: ANSWER_TOKENS, seed, ignoreStopTokens: true });
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

export interface Chat {
  readonly node: string; // that answered
  readonly text: string;
  readonly whole: boolean; // it came to its end
}

/** One chat as a stream. Rejects only where no answer began. */
export async function chat(url: string, seed: number): Promise<Chat> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ messages: [{ role: 'user', content: `Question ${seed}` }], seed, temperature: 1 },
      ...{ max_tokens: 200, ignore_eos: true, stream: true },
    }),
  });
  if (answer.status !== 200) throw new Error(`chat ${answer.status}: ${await answer.text()}`);
  let events = '';
  try {
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) events += chunk;
  } catch {
    // Cut: what came is judged.
  }
  const parsed = [...events.matchAll(/^data: (\{.*\})$/gm)].map(
    ([, data]) => JSON.parse(data!) as { id: string; choices: { delta: { content?: string } }[] },
  );
  return {
    node: /^chatcmpl-([a-z]+)\./.exec(parsed[0]?.id ?? '')?.[1] ?? '?',
    text: parsed.map(({ choices }) => choices[0]?.delta.content ?? '').join(''),
    whole: events.includes('data: [DONE]'),
  };
}
