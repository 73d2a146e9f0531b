// The vectors of one request's texts, one after another: requests that come together take turns, text by text. Owns the order,
// the count of tokens and the end where the caller has gone. Before it: the routes; after it: embedding-desk.ts.
import { fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import type { UseOptions } from '../shelf/shelf.ts';
import type { EmbeddedText, EmbeddingDesk } from './embedding-desk.ts';

export interface EmbeddingWish extends UseOptions {
  readonly texts: readonly EmbeddedText[];
  readonly fieldOf: (index: number) => string; // names a text in refusals
  readonly dimensions: number | null; // null: all
  readonly truncates: boolean;
  readonly requestTokensMax: number;
}

export interface Embedded<T> {
  readonly vectors: readonly T[];
  readonly tokenCount: number;
  readonly loadMs: number;
}

/** `spell` makes of a vector what the answer will hold. Refuses by itself; `answer` comes at most once. */
export function embedTexts<T>(
  call: HttpCall,
  wish: EmbeddingWish,
  desk: EmbeddingDesk,
  {
    spell,
    answer,
  }: { readonly spell: (vector: Float32Array) => T; readonly answer: (embedded: Embedded<T>) => void },
): void {
  const { texts, fieldOf, dimensions, truncates, requestTokensMax } = wish;
  if (dimensions !== null && dimensions > desk.dimensions) {
    const message = `dimensions: ${dimensions} are more than the ${desk.dimensions} of ${desk.name}`;
    call.refuse(fault('invalid_request', message, { param: 'dimensions' }));
    return;
  }
  const tokens: Int32Array[] = [];
  let tokenCount = 0;
  for (const [index, text] of texts.entries()) {
    const ids = desk.tokensOf(text, fieldOf(index), truncates);
    if (!ids.ok) {
      call.refuse(ids.fault);
      return;
    }
    tokens.push(ids.value);
    tokenCount += ids.value.length;
    if (tokenCount > requestTokensMax) {
      const message = `${fieldOf(index)}: the texts up to here have ${tokenCount} tokens, one request may have ${requestTokensMax} (--embedding-tokens)`;
      call.refuse(fault('context_length_exceeded', message, { param: 'input' }));
      return;
    }
  }
  void embedAll(call, tokens, { ...wish, desk, spell }).then((embedded) => {
    if (embedded !== null) call.guard(() => answer({ ...embedded, tokenCount }));
  });
}

/** Null: refused, or its caller has gone. */
async function embedAll<T>(
  call: HttpCall,
  tokens: readonly Int32Array[],
  {
    desk,
    spell,
    dimensions,
    ...use
  }: EmbeddingWish & { desk: EmbeddingDesk; spell: (vector: Float32Array) => T },
): Promise<Omit<Embedded<T>, 'tokenCount'> | null> {
  const opened = await desk.open(use);
  if (!opened.ok) {
    call.refuse(opened.fault);
    return null;
  }
  const { loadMs, release } = opened.value;
  const vectors: T[] = [];
  try {
    for (const ids of tokens) {
      if (call.over) return null;
      vectors.push(spell(await desk.embed(ids, dimensions)));
    }
    return { vectors, loadMs };
  } catch (error) {
    call.refuse(fault('step_failed', `the model failed: ${(error as Error).message}`));
    return null;
  } finally {
    release();
  }
}
