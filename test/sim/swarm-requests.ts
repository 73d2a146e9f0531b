// What the clients of a swarm ask: conversations whose prompts grow out of each other, drawn with every parameter that
// the engine knows, constraints and parameters that leave nothing to draw from included.
import type { BackendLimits, SamplingParams } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import { mix32, type Random } from '../../kernels/random.ts';
import type { SequenceRequest, TokenConstraint } from '../../server/engine/request.ts';
import { oracleAnswer } from './oracle.ts';

export interface RequestWorld {
  readonly clock: Clock;
  readonly engine: { readonly contextTokensMax: number };
  readonly limits: BackendLimits;
  readonly known: readonly { readonly request: SequenceRequest; readonly tokens: readonly number[] }[];
}

export function drawRequest(random: Random, world: RequestWorld): SequenceRequest {
  const { clock, engine, limits, known } = world;
  const earlier = known[random.integer(0, Math.max(0, known.length - 1))];
  const base = earlier && random.next() < 0.7 ? [...earlier.request.tokens, ...earlier.tokens] : [];
  const kept = base.slice(0, random.integer(0, base.length));
  const fresh = Array.from({ length: random.integer(1, 40) }, () => random.integer(0, limits.vocabSize - 1));
  const tokens = Int32Array.from([...kept, ...fresh]).slice(0, engine.contextTokensMax + 2); // some too long
  const asked: SequenceRequest = {
    tokens,
    maxTokens: random.next() < 0.15 ? 0 : random.integer(1, 40),
    sampling: drawSampling(random),
    constraint: random.next() < 0.25 ? new StripedConstraint(random.seed(), limits.vocabSize) : null,
    ignoreStopTokens: random.next() < 0.2,
    speculation: null,
    priority: (['turn', 'turn', 'side', 'background'] as const)[random.integer(0, 3)]!,
    cacheSalt: random.next() < 0.8 ? 'a' : 'b',
    deadlineMs: random.next() < 0.1 ? clock.nowMs() + random.next() * 300 : null,
  };
  const bounds = { vocabSize: limits.vocabSize, contextTokensMax: engine.contextTokensMax };
  const answer = () => oracleAnswer(asked, bounds).tokens;
  return { ...asked, promptLogprobs: judgedOf(asked), speculation: drawSpeculation(random, answer) };
}

/** Alternatives for each token of the prompt, in every sixth request: by its seed, so that nothing else is drawn otherwise. */
function judgedOf({ sampling: { seed } }: SequenceRequest): number | null {
  const drawn = mix32(seed ^ 0x1d6e);
  return drawn % 6 === 0 ? (drawn >>> 8) % 4 : null;
}

/** Allows some tokens, others after each; now and then any. Its masks change with every token, as a grammar's do. */
class StripedConstraint implements TokenConstraint {
  readonly #vocabSize: number;
  #state: number;

  constructor(state: number, vocabSize: number) {
    this.#state = state;
    this.#vocabSize = vocabSize;
  }

  mask(): Uint32Array | null {
    if (this.#state % 8 === 0) return null;
    const mask = new Uint32Array(Math.ceil(this.#vocabSize / 32));
    mask[0] = 1 << (this.#state % 32); // never nothing
    for (let id = 0; id < this.#vocabSize; id++) {
      if (mix32(this.#state ^ (id + 1)) % 4 === 0) mask[id >>> 5]! |= 1 << (id & 31);
    }
    return mask;
  }

  accept(token: number): void {
    this.#state = mix32(this.#state ^ (token + 1));
  }

  fork(): StripedConstraint {
    return new StripedConstraint(this.#state, this.#vocabSize);
  }
}

// Babble is never guessed right by lookup, so some clients predict the very answer, or half of it, or nonsense.
function drawSpeculation(random: Random, answer: () => readonly number[]) {
  if (random.next() < 0.3) return null;
  const draftTokensMax = random.integer(1, 8);
  const draw = random.next();
  if (draw < 0.3) return { draftTokensMax, prediction: null };
  const tokens = [...answer()];
  if (draw < 0.7)
    for (let index = 3; index < tokens.length; index += 5) tokens[index] = random.integer(0, 39);
  return { draftTokensMax, prediction: Int32Array.from(tokens) };
}

function drawSampling(random: Random): SamplingParams {
  const greedy = random.next() < 0.5;
  const penalised = random.next() < 0.2;
  // Past the edge that refuses it: the logits of what has been said overflow, a few tokens on at the latest.
  const hopeless = random.next() < 0.03;
  return {
    temperature: greedy ? 0 : 0.2 + random.next(),
    topP: random.next() < 0.5 ? 1 : 0.9,
    topK: random.next() < 0.5 ? 0 : 5,
    minP: random.next() < 0.7 ? 0 : 0.3 * random.next(),
    repetitionPenalty: hopeless ? 1e-45 : penalised ? 1.2 : 1,
    frequencyPenalty: penalised ? 0.3 : 0,
    presencePenalty: 0,
    logitBias: random.next() < 0.1 ? new Map([[3, 2]]) : null,
    seed: random.seed(),
    stream: random.integer(0, 2),
    logprobs: random.next() < 0.3 ? random.integer(0, 4) : null,
    minTokens: random.integer(0, 3),
    stopTokenIds: [7],
  };
}
