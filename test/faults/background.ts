// The background of every fault: callers with another key, on every road into the server, who read their answers as
// streams and compare them with what a quiet server said, byte for byte. Owns the callers and the count of what they
// compared. A caller whose answer fails with a typed error that may be sent again compares what came until then, and
// sends it again. Before it: arena.ts.
import { expect } from 'vitest';
import type { WebSocket } from 'ws';
import { ERRORS, type ErrorCode } from '../../server/base/errors.ts';
import { NativeError } from '../../server/client/native-error.ts';
import { ADA, type Arena } from './arena.ts';

/** What one request brought: all of it that depends on the model. */
interface Said {
  text: string;
  readonly numbers: unknown[]; // log probabilities, in order
  failure: ErrorCode | null; // what cut it short
  why: string | null; // the same in the server's words, for whoever reads a red test
}

interface Hearing {
  readonly arena: Arena;
  readonly variant: number;
  readonly said: Said;
  readonly turns: number; // of a conversation
  readonly onPiece: () => void;
}

type Caller = (hearing: Hearing) => Promise<void>;

export interface Tally {
  compared: number; // streams whose whole text was that of the quiet server
  cutShort: number; // by typed errors; what had come was compared as well, and the rest came when asked again
}

const VARIANTS = 3;
const TOKENS = 32;
const seeded = { seed: 11, temperature: 0.8, ignore_eos: true };

const topics = ['fibonacci', 'a queue of promises', 'parse(text: string)'];
const context = (variant: number) => `// ${topics[variant]}\n${'export const n = 1;\n'.repeat(variant * 12)}`;

const CALLERS: Readonly<Record<string, Caller>> = {
  'chat, server-sent events': (hearing) => {
    const messages = [{ role: 'user', content: `${context(hearing.variant)}Write it.` }];
    const body = { messages, max_tokens: TOKENS, logprobs: true, top_logprobs: 2, ...seeded };
    return readEvents(hearing, '/v1/chat/completions', body, (event, said) => {
      const choice = event.choices?.[0];
      said.text += choice?.delta.content ?? '';
      said.numbers.push(...(choice?.logprobs?.content ?? []));
    });
  },
  'completion, greedy': (hearing) => {
    const prompt = `${context(hearing.variant)}function f`;
    const body = { prompt, max_tokens: TOKENS, logprobs: 1, ...seeded, temperature: 0 };
    return readEvents(hearing, '/v1/completions', body, (event, said) => {
      const choice = event.choices?.[0];
      said.text += choice?.text ?? '';
      said.numbers.push(...(choice?.logprobs?.token_logprobs ?? []));
    });
  },
  'Responses, server-sent events': (hearing) => {
    const input = `${context(hearing.variant)}Explain it.`;
    const body = { input, max_output_tokens: TOKENS, store: false, ...seeded };
    return readEvents(hearing, '/v1/responses', body, (event, said) => {
      if (event.type === 'response.output_text.delta') said.text += event.delta;
    });
  },
  'native session, two turns': async ({ arena, variant, said, turns, onPiece }) => {
    const client = await arena.native(ADA);
    try {
      const session = client.open({ temperature: 0.8 });
      for (let turn = 1; turn <= turns; turn++) {
        await session.append({ text: `${context(variant)}// turn ${turn}\nfunction ` });
        const options = { maxTokens: TOKENS / 2, seed: 7, ignoreStopTokens: true, logprobs: 0 };
        const answer = session.generate(options, (frame) => {
          onPiece();
          said.text += frame.text;
          for (const [at, token] of frame.tokens.entries()) said.numbers.push(token, frame.logprobs![at]);
        });
        const end = await answer.end;
        said.failure = (end.error?.code as ErrorCode | undefined) ?? null;
        said.why = end.error?.message ?? null;
        if (said.failure !== null) return;
        said.text += end.text;
      }
    } catch (error) {
      // A refusal, as a full queue is one, is told to whoever asked: by its code, like a failure.
      if (!(error instanceof NativeError)) throw error;
      said.failure = error.code as ErrorCode;
      said.why = error.message;
    } finally {
      client.close();
    }
  },
  'Responses socket, a chain of two': async ({ arena, variant, said, turns, onPiece }) => {
    const socket = await arena.webSocket('/v1/responses', ADA);
    try {
      let previous: string | null = null;
      for (const input of [`${context(variant)}Begin.`, 'Go on.'].slice(0, turns)) {
        const chain = previous === null ? {} : { previous_response_id: previous };
        const create = { store: false, input, max_output_tokens: TOKENS / 2, ...seeded, ...chain };
        const end = await socketAnswer(socket, create, (delta) => {
          onPiece();
          said.text += delta;
        });
        said.failure = end.failure;
        said.why = end.why;
        if (said.failure !== null) return;
        previous = end.id;
      }
    } finally {
      socket.terminate();
    }
  },
};

export class Background {
  readonly #arena: Arena;
  readonly #turns: number;
  readonly #quiet = new Map<string, Said>(); // by caller and variant
  readonly tally: Tally = { compared: 0, cutShort: 0 };

  private constructor(arena: Arena, turns: number) {
    this.#arena = arena;
    this.#turns = turns;
  }

  /**
   * Asks everything once, one after the other, of a server that does nothing else. One turn only where KV is short: an
   * answer whose KV was given up is computed as a prompt the next time, with other roundings (ARCHITECTURE.md).
   */
  static async of(arena: Arena, turns: 1 | 2 = 2): Promise<Background> {
    const background = new Background(arena, turns);
    for (const name of Object.keys(CALLERS)) {
      for (let variant = 0; variant < VARIANTS; variant++) {
        const said = await background.#ask(name, variant, () => {});
        expect(said, name).toMatchObject({ failure: null, why: null });
        expect(said.text.length, name).toBeGreaterThan(8);
        background.#quiet.set(`${name} ${variant}`, said);
      }
    }
    return background;
  }

  /**
   * Runs `during` while every caller is in the middle of an answer, and goes on until it has ended and every caller
   * has compared at least one whole answer. Rejects with the first answer that is not the quiet server's, or, without
   * `casualties`, that fails.
   */
  async beside<T>(casualties: 'none' | 'typed', during: () => Promise<T>): Promise<T> {
    const state = { over: false };
    const names = Object.keys(CALLERS);
    let waiting = names.length;
    let begin: () => void = () => {};
    const underWay = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const heard = () => {
      if (--waiting === 0) begin();
    };
    const callers = Promise.all(
      names.map((name, index) => this.#call(name, index, casualties, state, heard)),
    );
    const work = underWay.then(during).finally(() => {
      state.over = true;
    });
    const [result] = await Promise.all([Promise.race([work, callers.then(() => work)]), callers]);
    return result;
  }

  async #call(
    name: string,
    start: number,
    casualties: 'none' | 'typed',
    state: { readonly over: boolean },
    heard: () => void,
  ): Promise<void> {
    let isFirst = true;
    for (let variant = start % VARIANTS; isFirst || !state.over; variant = (variant + 1) % VARIANTS) {
      for (;;) {
        const said = await this.#ask(name, variant, () => {
          if (isFirst) heard();
          isFirst = false;
        });
        if (this.#compare(name, variant, said, casualties)) break;
      }
    }
  }

  /** True for a whole answer, false for one that has to be asked again. */
  #compare(name: string, variant: number, said: Said, casualties: 'none' | 'typed'): boolean {
    const quiet = this.#quiet.get(`${name} ${variant}`)!;
    if (said.failure === null) {
      expect({ name, variant, ...said }).toEqual({ name, variant, ...quiet });
      this.tally.compared++;
      return true;
    }
    expect({ name, casualties, failure: said.failure }).toMatchObject({ casualties: 'typed' });
    expect(isOfServer(said.failure), said.failure).toBe(true);
    expect(quiet.text.startsWith(said.text), `${name}: ${said.text}`).toBe(true);
    expect(said.numbers).toEqual(quiet.numbers.slice(0, said.numbers.length));
    this.tally.cutShort++;
    return false;
  }

  async #ask(name: string, variant: number, onPiece: () => void): Promise<Said> {
    const said: Said = { text: '', numbers: [], failure: null, why: null };
    await CALLERS[name]!({ arena: this.#arena, variant, said, turns: this.#turns, onPiece });
    return said;
  }
}

/** The device's failure, or no room: never a fault of the request. Responses have OpenAI's own word for it. */
function isOfServer(code: string): boolean {
  if (code === 'server_error') return true;
  const facts = ERRORS[code as ErrorCode];
  return facts !== undefined && (facts.retryable || facts.type === 'server_error');
}

interface WireFault {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What the callers look at in an event; the server may say more. */
interface WireEvent {
  readonly type?: string;
  readonly delta?: string;
  readonly error?: WireFault;
  readonly response?: { readonly id: string; readonly error?: WireFault | null };
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta: { readonly content?: string };
    readonly logprobs?: {
      readonly content?: readonly unknown[];
      readonly token_logprobs?: readonly unknown[];
    };
  }[];
}

async function readEvents(
  { arena, said, onPiece }: Hearing,
  path: string,
  body: object,
  take: (event: WireEvent, said: Said) => void,
): Promise<void> {
  const answer = await arena.fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${ADA}` },
    body: JSON.stringify({ ...body, stream: true }),
  });
  if (answer.status !== 200) {
    const fault = ((await answer.json()) as WireEvent).error!;
    said.failure = fault.code;
    said.why = fault.message;
    return;
  }
  let rest = '';
  for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + piece).split('\n\n');
    rest = events.pop()!;
    for (const event of events) {
      const data = /^data: (\{.*)$/m.exec(event)?.[1];
      if (data === undefined) continue; // a comment, or the last word
      const value = JSON.parse(data) as WireEvent;
      const fault = value.error ?? value.response?.error ?? null;
      said.failure ??= fault?.code ?? null;
      said.why ??= fault?.message ?? null;
      take(value, said);
      onPiece();
    }
  }
}

/** One turn on a Responses socket. */
function socketAnswer(
  socket: WebSocket,
  create: object,
  onDelta: (text: string) => void,
): Promise<{ readonly id: string | null; readonly failure: ErrorCode | null; readonly why: string | null }> {
  return new Promise((resolve, reject) => {
    const onClose = (code: number) => reject(new Error(`the Responses socket was closed with ${code}`));
    const onMessage = (data: Buffer) => {
      const event = JSON.parse(`${data}`) as WireEvent;
      if (event.type === 'response.output_text.delta') onDelta(event.delta!);
      if (!/^(error|response\.(completed|incomplete|failed))$/.test(event.type!)) return;
      socket.off('message', onMessage);
      socket.off('close', onClose);
      const fault = event.error ?? event.response?.error ?? null;
      resolve({
        id: event.response?.id ?? null,
        failure: fault?.code ?? null,
        why: fault?.message ?? null,
      });
    };
    socket.on('message', onMessage);
    socket.on('close', onClose);
    socket.send(JSON.stringify({ type: 'response.create', ...create }));
  });
}
