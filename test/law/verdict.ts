// Whether an answer is the one that a fresh server gives, and whether it agrees with its own distribution. Pure but for
// the grammars, which are compiled here once more, apart from any server.
import { isDeepStrictEqual } from 'node:util';
import { maskAllows } from '../../kernels/backend.ts';
import { WallClock } from '../../kernels/clock.ts';
import type { Model } from '../../models/model.ts';
import { textSource } from '../../server/chat/form.ts';
import type { TokenConstraint } from '../../server/engine/request.ts';
import { GrammarCompiler } from '../../server/grammar/compiler.ts';
import type { Answer, TopToken } from './ask.ts';
import type { LawCase } from './cases.ts';

/** Null: equal as a whole, log-probabilities to the last bit. Else what is not. */
export function difference(fresh: Answer, got: Answer): string | null {
  if (isDeepStrictEqual(fresh.said, got.said)) return null;
  return `fresh: ${shown(fresh.said)}\nhere:  ${shown(got.said)}`;
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
  if (asked.kind === 'thread') return false;
  if (asked.kind === 'native') {
    const isReshaped = asked.turns.some(({ question }) => 'logitBias' in question);
    return asked.sampling['temperature'] === 0 && asked.sampling['repetitionPenalty'] === 1 && !isReshaped;
  }
  if (asked.body['temperature'] !== 0 || asked.body['repetition_penalty'] !== 1) return false;
  return !reshaping.some((field) => field in asked.body);
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, 600);
}
