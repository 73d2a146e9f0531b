// Whether an answer is the one that a fresh server gives, and whether it agrees with its own distribution. Pure but for
// the grammars, which are compiled here once more, apart from any server.
import { isDeepStrictEqual } from 'node:util';
import { maskAllows } from '../../kernels/backend.ts';
import { WallClock } from '../../kernels/clock.ts';
import { drawUniform } from '../../kernels/random.ts';
import type { Model } from '../../models/model.ts';
import { textSource } from '../../server/chat/form.ts';
import type { TokenConstraint } from '../../server/engine/request.ts';
import { GrammarCompiler } from '../../server/grammar/compiler.ts';
import type { Answer, DrawnChoice, TopToken } from './ask.ts';
import type { LawCase } from './cases.ts';

/** fp32 logits computed one by one and together differ by about 1e-5. */
const tieNats = 1e-3;
/** The same tokens by another path: 5e-7 was seen on spark-nano's int8. */
const lastBitsNats = 1e-4;

export type Verdict =
  | { readonly kind: 'equal' }
  | { readonly kind: 'near-tie' } // another token won where two were equally likely to within rounding
  | { readonly kind: 'broken'; readonly why: string };

const equal: Verdict = { kind: 'equal' };

function broken(why: string): Verdict {
  return { kind: 'broken', why };
}

export function compare(asked: LawCase, fresh: Answer, got: Answer): Verdict {
  if (asked.promised === 'exact') {
    if (isDeepStrictEqual(fresh.said, got.said)) return equal;
    return broken(`fresh: ${shown(fresh.said)}\nhere:  ${shown(got.said)}`);
  }
  if (asked.promised === 'exact-but-last-bits') return compareTurns(fresh, got);
  if (fresh.choices.length !== got.choices.length) return broken('another number of choices');
  for (const [index, choice] of fresh.choices.entries()) {
    const verdict = compareDrawn(asked, { fresh: choice, got: got.choices[index]!, answer: fresh, index });
    if (verdict.kind !== 'equal') return verdict;
  }
  return equal;
}

/** What was said, drawn and told of the ends is the same; of probabilities only the first turn's, the others nearly. */
function compareTurns(fresh: Answer, got: Answer): Verdict {
  const bits = (answer: Answer) => answer.choices.map(({ logprobs, tops }) => ({ logprobs, tops }));
  const rest = (answer: Answer) =>
    (answer.said as [string, DrawnChoice, unknown][]).map(([text, { tokens }, end]) => [text, tokens, end]);
  if (!isDeepStrictEqual(rest(fresh), rest(got)) || !isDeepStrictEqual(bits(fresh)[0], bits(got)[0])) {
    return broken(`fresh: ${shown(fresh.said)}\nhere:  ${shown(got.said)}`);
  }
  for (const [turn, { logprobs }] of fresh.choices.entries()) {
    const off = logprobs.findIndex(
      (value, i) => Math.abs(value - got.choices[turn]!.logprobs[i]!) > lastBitsNats,
    );
    if (off >= 0)
      return broken(`token ${off} of turn ${turn}: ${logprobs[off]} and ${got.choices[turn]!.logprobs[off]}`);
  }
  return equal;
}

interface Pair {
  readonly fresh: DrawnChoice;
  readonly got: DrawnChoice;
  readonly answer: Answer;
  readonly index: number;
}

/** Equal tokens with equal probabilities, up to a tie. */
function compareDrawn(asked: LawCase, { fresh, got, answer, index }: Pair): Verdict {
  const count = Math.min(fresh.logprobs.length, got.logprobs.length);
  for (let i = 0; i < count; i++) {
    const [a, b] = [fresh.logprobs[i]!, got.logprobs[i]!];
    if (fresh.tokens[i] === got.tokens[i]) {
      if (Math.abs(a - b) > tieNats) return broken(`token ${i} of choice ${index}: ${a} and ${b}`);
      continue;
    }
    if (temperatureOf(asked) === 0) {
      return Math.abs(a - b) <= tieNats
        ? { kind: 'near-tie' }
        : broken(`token ${i}: ${fresh.tokens[i]} (${a}) and ${got.tokens[i]} (${b})`);
    }
    const position = answer.promptTokens + i;
    return isDrawTie(asked, { tops: fresh.tops[i]!, position, index })
      ? { kind: 'near-tie' }
      : broken(`token ${i}: drew ${fresh.tokens[i]} and ${got.tokens[i]}, far from any border`);
  }
  return fresh.tokens.length === got.tokens.length ? equal : broken('one is longer');
}

/** At temperature 1: the draw fell on a border between two tokens, or beyond what was told of the distribution. */
function isDrawTie(
  asked: LawCase,
  { tops, position, index }: { tops: readonly TopToken[]; position: number; index: number },
): boolean {
  const uniform = drawUniform(seedOf(asked), index, position);
  let sum = 0;
  for (const { logprob } of tops) {
    sum += Math.exp(logprob);
    if (Math.abs(sum - uniform) <= tieNats) return true;
  }
  return uniform > sum;
}

/**
 * Without penalties and bias a greedy token is the most likely one that may be drawn: of all that is told to be likelier
 * nothing may. Answers what is wrong, or null; `checked` counts tokens.
 */
export async function ownDistribution(
  asked: LawCase,
  { choices }: Answer,
  judge: Judge,
): Promise<{ readonly wrong: string | null; readonly checked: number }> {
  let checked = 0;
  if (!isPlainGreedy(asked)) return { wrong: null, checked };
  for (const { tokens, logprobs, tops } of choices) {
    const constraint = await judge.constraintOf(asked);
    for (const [i, logprob] of logprobs.entries()) {
      const mask = constraint?.mask() ?? null;
      if (mask !== null && !maskAllows(mask, tokens[i]!))
        return { wrong: `token ${i} is not allowed`, checked };
      const likelier = (tops[i] ?? []).filter((top) => top.logprob > logprob);
      const better = likelier.find((top) => judge.mayBeDrawn(top, mask));
      if (better !== undefined)
        return { wrong: `token ${i} (${logprob}) though ${better.logprob} may be drawn`, checked };
      constraint?.accept(tokens[i]!);
      checked++;
    }
  }
  return { wrong: null, checked };
}

/** What a model's tokens and grammars are, for whoever judges its answers. */
export class Judge {
  readonly #compiler: GrammarCompiler;
  readonly #idsByBytes = new Map<string, number[]>();

  constructor({ tokenizer, spec }: Model) {
    const { vocabSize, eosTokenIds: stopTokenIds } = spec;
    this.#compiler = new GrammarCompiler({ tokenizer, vocabSize, stopTokenIds, clock: new WallClock() });
    for (let id = 0; id < vocabSize; id++) {
      const key = Buffer.from(tokenizer.tokenBytes(id)).toString('hex');
      this.#idsByBytes.set(key, [...(this.#idsByBytes.get(key) ?? []), id]);
    }
  }

  async constraintOf(asked: LawCase): Promise<TokenConstraint | null> {
    const format = asked.kind === 'http' ? asked.body['response_format'] : undefined;
    const source = textSource(format as Parameters<typeof textSource>[0]);
    return source === null ? null : (await this.#compiler.compile(source)).newConstraint();
  }

  /** Two tokens may have the same bytes: the likelier one that may not be drawn has a twin that may. */
  mayBeDrawn({ bytes, id }: TopToken, mask: Uint32Array | null): boolean {
    if (mask === null) return true;
    if (id !== null) return maskAllows(mask, id);
    const ids = this.#idsByBytes.get(Buffer.from(bytes ?? []).toString('hex')) ?? [];
    return ids.length > 0 && ids.every((one) => maskAllows(mask, one));
  }
}

const reshaping = [
  'repetition_penalty',
  'frequency_penalty',
  'presence_penalty',
  'logit_bias',
  'min_tokens',
  'tools',
];

function isPlainGreedy(asked: LawCase): boolean {
  if (asked.kind === 'native') {
    const isReshaped = asked.turns.some(({ question }) => 'logitBias' in question);
    return asked.sampling['temperature'] === 0 && asked.sampling['repetitionPenalty'] === 1 && !isReshaped;
  }
  if (temperatureOf(asked) !== 0 || asked.body['repetition_penalty'] !== 1) return false;
  return !reshaping.some((field) => field in asked.body);
}

function temperatureOf(asked: LawCase): number {
  return Number(asked.kind === 'native' ? asked.sampling['temperature'] : asked.body['temperature']);
}

function seedOf(asked: LawCase): number {
  return asked.kind === 'native' ? 0 : Number(asked.body['seed']);
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, 600);
}
