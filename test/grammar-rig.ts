// What grammar tests share: a compiler over the embedded model's vocabulary, a seeded "model" that draws any allowed
// token, and feeding a text through a constraint as a tokenizer would cut it.
import { maskAllows } from '../kernels/backend.ts';
import { VirtualClock } from '../kernels/clock.ts';
import type { Random } from '../kernels/random.ts';
import { babbleLogits, emptyContext, extendContext } from '../kernels/sim/babble.ts';
import { loadTokenizer } from '../models/checkpoint/tokenizer-source.ts';
import { resolveModel } from '../models/model.ts';
import type { TokenConstraint } from '../server/engine/request.ts';
import { type GrammarBounds, grammarBounds } from '../server/grammar/bounds.ts';
import { GrammarCompiler } from '../server/grammar/compiler.ts';

export const tokenizer = loadTokenizer(resolveModel('spark-nano'));
export const stopTokenId = tokenizer.specialTokenId('<|im_end|>')!;
export const vocabSize = tokenizer.vocabSize;

export function openCompiler(
  bounds: Partial<GrammarBounds> = {},
): GrammarCompiler & { run<T>(work: Promise<T>): Promise<T> } {
  const clock = new VirtualClock();
  const world = { tokenizer, vocabSize, stopTokenIds: [stopTokenId], clock };
  const compiler = new GrammarCompiler(world, { ...grammarBounds, ...bounds });
  return Object.assign(compiler, { run: <T>(work: Promise<T>) => drive(clock, work) });
}

/** Fires the clock's events until the work is done. */
async function drive<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const settle = (): void => {
    isDone = true;
  };
  work.then(settle, settle);
  for (let idle = 0; !isDone; idle = clock.step() ? 0 : idle + 1) {
    if (idle > 100) throw new Error('the work waits for nothing');
    await Promise.resolve();
  }
  return work;
}

export function allowedIds(mask: Uint32Array): number[] {
  const ids: number[] = [];
  for (let id = 0; id < vocabSize; id++) if (maskAllows(mask, id)) ids.push(id);
  return ids;
}

export interface Draw {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly ended: boolean; // by a stop token
}

const closers = ['"', '}', ']', '0', 'null', 'e', '}}', '"}', ',', ':'];

/**
 * Draws tokens under the constraint: at first anything allowed (uniformly, or what a babbling model likes best), after
 * `wildCount` tokens preferably what closes. Throws when a mask allows nothing.
 */
export function drawText(
  constraint: TokenConstraint,
  { random, wildCount, tokensMax }: { random: Random; wildCount: number; tokensMax: number },
): Draw {
  const tokens: number[] = [];
  const babbles = random.next() < 0.5;
  const logits = new Float32Array(vocabSize);
  const closing = closers.map((text) => tokenizer.encode(text)[0]!);
  let context = extendContext(emptyContext, random.seed());
  while (tokens.length < tokensMax) {
    const mask = constraint.mask()!;
    const ids = allowedIds(mask);
    if (ids.length === 0) throw new Error(`nothing is allowed after ${tokenizer.decode(tokens)}`);
    let id = ids[random.integer(0, ids.length - 1)]!;
    if (babbles && tokens.length < wildCount) {
      babbleLogits(context, logits);
      for (const other of ids) if (logits[other]! > logits[id]!) id = other;
    }
    const isTired = tokens.length >= wildCount;
    if (maskAllows(mask, stopTokenId) && (isTired || random.next() < 0.3)) id = stopTokenId;
    else if (random.next() < (isTired ? 0.8 : 0.3)) id = closing.find((one) => maskAllows(mask, one)) ?? id;
    constraint.accept(id);
    if (id === stopTokenId) return { text: tokenizer.decode(tokens), tokens, ended: true };
    context = extendContext(context, id);
    tokens.push(id);
  }
  return { text: tokenizer.decode(tokens), tokens, ended: false };
}

/** Where the constraint refuses the text: index of its token, its token count if it may not end there; null: nowhere. */
export function refusalOf(constraint: TokenConstraint, text: string): number | null {
  const tokens = tokenizer.encode(text);
  if (tokenizer.decode(tokens) !== text) return null; // the tokenizer's normaliser changed it: another text
  for (const [index, token] of tokens.entries()) {
    if (!maskAllows(constraint.mask()!, token)) return index;
    constraint.accept(token);
  }
  return maskAllows(constraint.mask()!, stopTokenId) ? null : tokens.length;
}
