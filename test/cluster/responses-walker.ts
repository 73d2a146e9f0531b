// A client of the Responses API that comes back to what it has lost: on sockets (`response.resume`), and in the background over HTTP
// (`starting_after`). It checks that no event is missing and none comes twice. Used by main.ts.
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { fillerText } from './recorded.ts';
import { HEARD_NOTHING, type Plan, type Prompt, type Walk } from './walker.ts';

const GIVE_UP_MS = 30_000;

interface Event {
  readonly type: string;
  readonly sequence_number?: number;
  readonly delta?: string;
  readonly response?: { readonly id: string; readonly status: string; readonly usage?: Usage | null };
  readonly error?: { readonly code: string; readonly message: string };
}

interface Usage {
  readonly input_tokens: number;
  readonly input_tokens_details: { readonly cached_tokens: number };
}

/** One answer, however many connections it takes. */
class Answer {
  text = '';
  id: string | null = null;
  next = 0;
  over = false;
  lostMs: number | null = null;
  usage: Usage | null = null;
  readonly resumedMs: number[] = [];

  take(event: Event): void {
    if (event.type === 'error') throw new Error(`${event.error?.code}: ${event.error?.message}`);
    const { sequence_number: number = -1 } = event;
    if (event.type === 'response.in_progress' && number === this.next - 1) return; // a sign of life
    if (number !== this.next) throw new Lost(`event ${number} came, ${this.next} was next`);
    this.next++;
    if (this.lostMs !== null) this.resumedMs.push(performance.now() - this.lostMs);
    this.lostMs = null;
    this.id ??= event.response?.id ?? null;
    if (event.type === 'response.output_text.delta') this.text += event.delta!;
    if (event.type === 'response.failed') throw new Lost(`it failed: ${JSON.stringify(event)}`);
    this.usage = event.response?.usage ?? this.usage;
    this.over = ['response.completed', 'response.incomplete'].includes(event.type);
  }
}

/** What no second try mends. */
class Lost extends Error {}

/** `mode`: how its answers come. */
export async function walkResponses(
  url: string,
  { seed, turns, pauseMs, mode }: Plan & { readonly mode: 'socket' | 'background' },
): Promise<Walk> {
  const heard: string[] = [];
  const resumedMs: number[] = [];
  const prompts: Prompt[] = [];
  let previous: string | null = null;
  for (const [turn, { promptTokens, answerTokens }] of turns.entries()) {
    const body = {
      ...{ input: fillerText(seed + turn, promptTokens), seed: seed + turn, temperature: 1 },
      ...{ ignore_eos: true, max_output_tokens: answerTokens, previous_response_id: previous },
    };
    const answer = new Answer();
    for (const startMs = performance.now(); !answer.over; ) {
      try {
        if (mode === 'socket') await overSocket(url, `socket-${seed}`, body, answer);
        else await overHttp(url, body, answer);
      } catch (error) {
        if (error instanceof Lost || performance.now() - startMs > GIVE_UP_MS) throw error;
      }
      if (!answer.over) {
        answer.lostMs ??= performance.now();
        await pause(50);
      }
    }
    heard.push(answer.text);
    resumedMs.push(...answer.resumedMs);
    previous = answer.id;
    const { input_tokens: tokens, input_tokens_details: details } = answer.usage!; // it is over
    prompts.push({ tokens, cachedTokens: details.cached_tokens });
    await pause(pauseMs);
  }
  return { ...HEARD_NOTHING, heard, resumedMs, prompts };
}

async function overSocket(url: string, session: string, body: object, answer: Answer): Promise<void> {
  const headers = { 'session-id': session }; // as Codex says it: each socket meets its node again
  const address = `${url.replace(/^http/, 'ws')}/v1/responses`;
  const socket = new WebSocket(address, { handshakeTimeout: 3000, headers });
  const frame =
    answer.id === null
      ? { type: 'response.create', ...body }
      : { type: 'response.resume', response_id: answer.id, starting_after: answer.next - 1 };
  await new Promise<void>((resolve, reject) => {
    socket.on('open', () => socket.send(JSON.stringify(frame)));
    socket.on('message', (data: Buffer) => {
      try {
        answer.take(JSON.parse(data.toString()) as Event);
        if (answer.over) resolve();
      } catch (error) {
        reject(error as Error);
      }
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  }).finally(() => socket.terminate());
}

async function overHttp(url: string, body: object, answer: Answer): Promise<void> {
  const came =
    answer.id === null
      ? await fetch(`${url}/v1/responses`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ ...body, background: true, stream: true }),
        })
      : await fetch(`${url}/v1/responses/${answer.id}?stream=true&starting_after=${answer.next - 1}`);
  if (came.status !== 200) throw new Error(`${came.status}: ${await came.text()}`);
  let text = '';
  for await (const chunk of came.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data !== undefined) answer.take(JSON.parse(data) as Event);
    }
  }
}
