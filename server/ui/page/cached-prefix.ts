// What stays cached when an earlier turn is said otherwise: the tokens before the first that differs, in whole blocks. Asks the
// server for both prompts' tokens, so that it is exactly what the prefix cache will find. Before it: turn.tsx; after it: api.ts.
import type { Api } from './api.ts';

export interface CachedPrefix {
  readonly keptTokens: number; // whole blocks before the first difference
  readonly promptTokens: number; // of the new prompt
}

/** `before` and `after`: messages of both requests. Rejects with ApiError. */
export async function cachedPrefix(
  api: Pick<Api, 'json'>,
  before: readonly object[],
  after: readonly object[],
  { blockSize, signal }: { readonly blockSize: number; readonly signal: AbortSignal },
): Promise<CachedPrefix> {
  const ask = (messages: readonly object[]): Promise<{ tokens: readonly number[] }> =>
    api.json('tokenize', { body: { messages }, signal });
  const [old, next] = await Promise.all([ask(before), ask(after)]);
  const common = commonLength(old.tokens, next.tokens);
  return { keptTokens: Math.floor(common / blockSize) * blockSize, promptTokens: next.tokens.length };
}

export function commonLength(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  for (let at = 0; at < end; at++) if (a[at] !== b[at]) return at;
  return end;
}
