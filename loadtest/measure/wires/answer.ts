// Answer: one streamed answer as it comes in, whatever the protocol: its text, how it ended, what the server said of
// it. Protocol files fill it; the conversations turn it into a TurnEnd.
import { type Ask, type Delta, finishedOutcome, plainEnd, type TurnEnd } from './target.ts';

export class Answer {
  text = '';
  tokens: number[] = []; // ids, where the server tells them
  finishReason: string | null = null;
  failure: { readonly kind: string; readonly message: string } | null = null;
  promptTokens: number | null = null;
  cachedTokens: number | null = null;
  outputTokens: number | null = null;
  queueMs: number | null = null;
  acceptedTokens: number | null = null;
  rejectedTokens: number | null = null;
  readonly #onDelta: (delta: Delta) => void;

  constructor(onDelta: (delta: Delta) => void) {
    this.#onDelta = onDelta;
  }

  /** More text, or tokens without text. `count` is the server's, null if it does not say. */
  add(
    text: string,
    options: { count?: number | null; index?: number | null; reasoning?: boolean } = {},
  ): void {
    const { count = null, index = null, reasoning = false } = options;
    if (text === '' && (count ?? 0) === 0) return;
    if (!reasoning) this.text += text;
    this.#onDelta({ text, count, index, reasoning });
  }

  end(ask: Ask, how: 'by-server' | 'interrupted' | 'cut-off' = 'by-server'): TurnEnd {
    const known = {
      promptTokens: this.promptTokens,
      cachedTokens: this.cachedTokens,
      outputTokens: this.outputTokens,
      queueMs: this.queueMs,
      acceptedTokens: this.acceptedTokens,
      rejectedTokens: this.rejectedTokens,
    };
    if (how === 'interrupted') return { ...plainEnd('interrupted'), ...known };
    if (this.failure !== null) {
      const { kind, message } = this.failure;
      return { ...plainEnd(isRejection(kind) ? 'rejected' : 'error', kind, message), ...known };
    }
    return { ...plainEnd('ok'), ...finishedOutcome(this.finishReason, ask), ...known };
  }
}

const REJECTIONS = new Set([
  'queue_full',
  'session_limit',
  'connection_limit',
  'draining',
  'rate_limit_exceeded',
  'rate_limit_error',
  'overloaded_error',
  'server_is_overloaded',
  'websocket_connection_limit_reached',
]);

/** Refused at the door, as opposed to broken: 429, 503, 529, and the codes that mean the same on a socket. */
function isRejection(kind: string): boolean {
  const [first, status] = kind.split(' ');
  if (first === 'http') return status === '429' || status === '503' || status === '529';
  return REJECTIONS.has(kind);
}

/** A field of an unknown JSON value; undefined where there is none. */
export function field(value: unknown, ...path: string[]): unknown {
  let current = value;
  for (const name of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<string, unknown>)[name];
  }
  return current;
}

export function numberOr(value: unknown, otherwise: number | null): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
}

export function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}
