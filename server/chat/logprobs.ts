// Log-probabilities in OpenAI's two shapes, and a prompt's in vLLM's. Pure but for the running offset of a completion's text.
// The first token of a prompt has none: nothing stands before it. Before it: answer.ts; used by openai/chat-events.ts and openai/completion-events.ts.
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

interface TokenText {
  readonly token: string;
  readonly bytes: readonly number[];
  readonly key: string; // distinct from every other token's
}

const KNOWN_TEXTS_MAX = 65_536; // of one tokenizer; a few MB
const knownTexts = new WeakMap<TokenBytes, Map<number, TokenText>>();

/** Twenty alternatives a token are mostly the same few thousand: each is written once. */
function textOf(tokenizer: TokenBytes, id: number): TokenText {
  let known = knownTexts.get(tokenizer);
  if (known === undefined) {
    known = new Map();
    knownTexts.set(tokenizer, known);
  }
  const found = known.get(id);
  if (found !== undefined) return found;
  const raw = tokenizer.tokenBytes(id);
  const bytes = Array.from(raw);
  const token = utf8.decode(raw);
  // As OpenAI writes parts of characters where texts are keys.
  const hex = () => bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
  const made = { token, bytes, key: token.includes('\ufffd') ? `bytes:${hex()}` : token };
  if (known.size >= KNOWN_TEXTS_MAX) known.clear();
  known.set(id, made);
  return made;
}

/** Tokens whose text is their id, where that was asked for: two tokens may have the same text. */
export function namedTokens<T extends TokenBytes>(tokenizer: T, byId: boolean): TokenBytes {
  return byId ? { tokenBytes: (id) => encoder.encode(`token_id:${id}`) } : tokenizer;
}

const encoder = new TextEncoder();

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
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  readonly text_offset: readonly number[]; // in code points, from the start of `text`
}

/** One choice of a completion, whose text offsets go on from chunk to chunk. */
export class CompletionLogprobRun {
  readonly #tokenizer: TokenBytes;
  #offset = 0;

  constructor(tokenizer: TokenBytes) {
    this.#tokenizer = tokenizer;
  }

  /** `logprobs` null: of a token that nothing stands before. */
  next(tokens: ArrayLike<number>, logprobs: readonly (TokenLogprobs | null)[]): CompletionLogprobs {
    const ids = Array.from(tokens);
    const tops = ids.map((id, index) => {
      const known = logprobs[index]!;
      if (known === null) return null;
      const top: Record<string, number> = Object.create(null); // "__proto__" may be a token
      for (const [rank, topId] of known.topTokens.entries())
        top[this.#text(topId)] = writable(known.topLogprobs[rank]!);
      top[this.#text(id)] = writable(known.logprob); // the drawn token is always among them
      return top;
    });
    return {
      tokens: ids.map((id) => this.#text(id)),
      token_logprobs: ids.map((_, index) => {
        const known = logprobs[index]!;
        return known === null ? null : writable(known.logprob);
      }),
      top_logprobs: tops,
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
    return textOf(this.#tokenizer, id).key;
  }
}

/** What follows `one` in the same text. */
export function joinedLogprobs(one: CompletionLogprobs, two: CompletionLogprobs): CompletionLogprobs {
  return {
    tokens: [...one.tokens, ...two.tokens],
    token_logprobs: [...one.token_logprobs, ...two.token_logprobs],
    top_logprobs: [...one.top_logprobs, ...two.top_logprobs],
    text_offset: [...one.text_offset, ...two.text_offset],
  };
}

type PromptLogprob = { readonly logprob: number; readonly rank: number; readonly decoded_token: string };

/** vLLM's `prompt_logprobs`: by token, the prompt's own and the likeliest ones; null of the first. */
export function promptLogprobs(
  tokenizer: TokenBytes,
  tokens: ArrayLike<number>,
  logprobs: readonly TokenLogprobs[],
  topCount: number,
): readonly (Readonly<Record<string, PromptLogprob>> | null)[] {
  const of = (id: number, logprob: number, rank: number): readonly [string, PromptLogprob] => [
    String(id),
    { logprob: writable(logprob), rank, decoded_token: textOf(tokenizer, id).token },
  ];
  const known = likeliest(logprobs, topCount).map(({ logprob, rank = 0, topTokens, topLogprobs }, index) =>
    Object.fromEntries([
      ...topTokens.map((id, place) => of(id, topLogprobs[place]!, place + 1)),
      of(tokens[index + 1]!, logprob, rank),
    ]),
  );
  return [null, ...known];
}

/** Without the alternatives that somebody else has asked for. */
export function likeliest(logprobs: readonly TokenLogprobs[], count: number): readonly TokenLogprobs[] {
  return logprobs.map(({ topTokens, topLogprobs, ...rest }) => ({
    ...rest,
    topTokens: topTokens.slice(0, count),
    topLogprobs: topLogprobs.slice(0, count),
  }));
}

/** JSON has no infinity; −9999 is what other servers write for a token that could not be drawn. */
function writable(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : -9999;
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

function chatLogprob(tokenizer: TokenBytes, id: number, logprob: number): ChatLogprob {
  const { token, bytes } = textOf(tokenizer, id);
  return { token, logprob: writable(logprob), bytes };
}
