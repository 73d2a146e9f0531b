// A client of chats as plain HTTP streams, which cannot be gone on with: what was cut is asked again, and what had come of it must be a
// beginning of what comes then. Used by main.ts.
import { setTimeout as pause } from 'node:timers/promises';
import { fillerText } from './recorded.ts';
import type { Plan, Prompt, Walk } from './walker.ts';

const GIVE_UP_MS = 30_000;

interface Said {
  readonly node: string; // that answered
  readonly text: string;
  readonly whole: boolean; // it came to its end
  readonly usage: Usage | null;
}

interface Usage {
  readonly prompt_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

interface Chunk {
  readonly id: string;
  readonly choices: readonly { readonly delta: { readonly content?: string } }[];
  readonly usage?: Usage | null;
}

/** One conversation: each turn sends all of it. */
export async function walkChat(url: string, { seed, turns, pauseMs }: Plan): Promise<Walk> {
  const messages: { readonly role: string; readonly content: string }[] = [];
  const heard: string[] = [];
  const [cutBy, refusals]: [string[], string[]] = [[], []];
  const prompts: Prompt[] = [];
  for (const [turn, { promptTokens: added, answerTokens }] of turns.entries()) {
    messages.push({ role: 'user', content: fillerText(seed + turn, added) });
    const body = { messages, seed: seed + turn, max_tokens: answerTokens };
    const cut: string[] = [];
    const text = await answered(async () => {
      const said = await ask(url, `chat-${seed}`, body);
      if (!said.whole) {
        cutBy.push(said.node);
        cut.push(said.text);
        return null;
      }
      const { prompt_tokens: tokens, prompt_tokens_details: details } = said.usage!; // asked for, and all of it came
      prompts.push({ tokens, cachedTokens: details.cached_tokens });
      return said.text;
    }, refusals);
    if (cut.some((beginning) => !text.startsWith(beginning))) throw new Error(`chat ${seed}: another answer`);
    heard.push(text);
    messages.push({ role: 'assistant', content: text });
    await pause(pauseMs);
  }
  return { heard, resumedMs: [], prompts, cutBy, refusals };
}

/** Asks until there is an answer. */
async function answered(once: () => Promise<string | null>, refusals: string[]): Promise<string> {
  for (const startMs = performance.now(); ; await pause(50)) {
    try {
      const text = await once();
      if (text !== null) return text;
    } catch (error) {
      refusals.push((error as Error).message);
    }
    if (performance.now() - startMs > GIVE_UP_MS) throw new Error(`no answer: ${refusals.at(-1)}`);
  }
}

/** Rejects only where no answer began. */
async function ask(url: string, session: string, body: object): Promise<Said> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'session-id': session },
    body: JSON.stringify({
      ...{ ...body, temperature: 1, ignore_eos: true, stream: true },
      stream_options: { include_usage: true },
    }),
  });
  if (answer.status !== 200) throw new Error(`chat ${answer.status}: ${await answer.text()}`);
  let events = '';
  try {
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) events += chunk;
  } catch {
    // Cut: what came is judged.
  }
  const chunks = [...events.matchAll(/^data: (\{.*\})$/gm)].map(([, data]) => JSON.parse(data!) as Chunk);
  return {
    node: /^chatcmpl-([a-z]+)\./.exec(chunks[0]?.id ?? '')?.[1] ?? '?',
    text: chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''),
    whole: events.includes('data: [DONE]'),
    usage: chunks.findLast(({ usage }) => usage != null)?.usage ?? null,
  };
}
