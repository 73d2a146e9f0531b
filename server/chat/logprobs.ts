// Log-probabilities in OpenAI's two shapes. Pure but for the running offset of a completion's text. Only tokens that
// were drawn have them: prompt tokens of `echo` get null (the engine computes no logits for a prompt).
// Before it: answer.ts; used by openai/chat-events.ts and openai/completion-events.ts.
import type { TokenLogprobs } from '../../kernels/backend.ts';
import type { ServedModel } from '../text/served-model.ts';

type TokenBytes = Pick<ServedModel['tokenizer'], 'tokenBytes'>;

interface ChatLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
}

export interface ChatLogprobs {
  readonly content: readonly (ChatLogprob & { readonly top_logprobs: readonly ChatLogprob[] })[];
  readonly refusal: null;
}

/** What ends an answer has no text, and no log-probabilities are shown of it. */
export function withoutEnd(tokens: readonly number[], endIds: readonly number[]): readonly number[] {
  return endIds.includes(tokens.at(-1) ?? -1) ? tokens.slice(0, -1) : tokens;
}

export function chatLogprobs(
  tokenizer: TokenBytes,
  tokens: readonly number[],
  logprobs: readonly TokenLogprobs[],
): ChatLogprobs {
  const content = tokens.map((id, index) => {
    const { logprob, topTokens, topLogprobs } = logprobs[index]!;
    const top = topTokens.map((topId, rank) => chatLogprob(tokenizer, topId, topLogprobs[rank]!));
    return { ...chatLogprob(tokenizer, id, logprob), top_logprobs: top };
  });
  return { content, refusal: null };
}

export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly (number | null)[];
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[] | null;
  readonly text_offset: readonly number[]; // in code points, from the start of `text`
}

/** One choice of a completion, whose text offsets go on from chunk to chunk. */
export class CompletionLogprobRun {
  readonly #tokenizer: TokenBytes;
  readonly #topCount: number;
  #offset = 0;

  constructor(tokenizer: TokenBytes, topCount: number) {
    this.#tokenizer = tokenizer;
    this.#topCount = topCount;
  }

  next(tokens: ArrayLike<number>, logprobs: readonly TokenLogprobs[]): CompletionLogprobs {
    const ids = Array.from(tokens);
    const tops = ids.map((id, index) => {
      const { logprob, topTokens, topLogprobs } = logprobs[index]!;
      const top = Object.fromEntries(topTokens.map((topId, rank) => [this.#text(topId), topLogprobs[rank]!]));
      return { ...top, [this.#text(id)]: logprob }; // the drawn token is always among them
    });
    return {
      tokens: ids.map((id) => this.#text(id)),
      token_logprobs: ids.map((_, index) => logprobs[index]!.logprob),
      top_logprobs: this.#topCount === 0 ? null : tops,
      text_offset: ids.map((id) => this.#advance(id)),
    };
  }

  /** Where the token's text starts; counts the bytes that begin a character. */
  #advance(id: number): number {
    const start = this.#offset;
    for (const byte of this.#tokenizer.tokenBytes(id)) if ((byte & 0xc0) !== 0x80) this.#offset++;
    return start;
  }

  #text(id: number): string {
    const bytes = this.#tokenizer.tokenBytes(id);
    const text = utf8.decode(bytes);
    if (!text.includes('\ufffd')) return text;
    // As OpenAI writes parts of characters here: these texts are keys and must stay distinct.
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

function chatLogprob(tokenizer: TokenBytes, id: number, logprob: number): ChatLogprob {
  const bytes = tokenizer.tokenBytes(id);
  // JSON has no infinity; −9999 is what other servers write for a token that could not be drawn.
  return {
    token: utf8.decode(bytes),
    logprob: Number.isFinite(logprob) ? logprob : -9999,
    bytes: Array.from(bytes),
  };
}
