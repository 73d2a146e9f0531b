// One request's n choices: token ids from the engine become text for a reader. Owns detokenising, stop strings
// and logprob texts; never sees JSON, HTTP or sockets. Before it: the dialects and sessions/session.ts;
// after it: server/engine/engine.ts.
import type { SamplingParams, TokenLogprobs } from '../../kernels/backend.ts';
import type { Random } from '../../kernels/random.ts';
import type { GenerationFailure } from '../base/errors.ts';
import {
  INTERNAL,
  type SequenceEnd,
  type SequenceEngine,
  type SequenceRequest,
  type SequenceSink,
  type SequenceUsage,
  type SpeculationRequest,
  type SubmitResult,
  type TokenConstraint,
} from '../engine/request.ts';
import { narrowed } from '../grammar/narrowed.ts';
import type { AnswerMemories } from './answer-memories.ts';
import type { LastTurn } from './prefix-report.ts';
import { StopStrings } from './stop-strings.ts';

/** A checked request: every bound has been enforced at the edge. */
export interface GenerationRequest
  extends Pick<
      SequenceRequest,
      'tokens' | 'promptLogprobs' | 'ignoreStopTokens' | 'priority' | 'cacheSalt' | 'deadlineMs'
    >,
    Omit<SamplingParams, 'seed' | 'stream' | 'stopTokenIds'> {
  readonly choiceCount: number; // ≥ 1
  readonly maxTokens: number; // output tokens per choice, ≥ 0
  readonly seed: number | null; // null: the server draws one
  readonly stopStrings: readonly string[];
  readonly newConstraint?: (() => TokenConstraint) | null; // one for each choice, e.g. a grammar at its start
  readonly narrowing?: (() => TokenConstraint) | null; // likewise: which of these tokens are left
  readonly stopTokenIds?: readonly number[]; // that end it beside the model's own
  readonly showsEnd?: boolean; // what ends the answer, a stop string or a token, is part of its text
  readonly showsSpecials?: boolean; // special tokens have text
  readonly newCutoff?: (() => TextCutoff) | null; // likewise: what its text may not go beyond
  readonly speculation?: SpeculationRequest | null; // guess ahead; the answer is the same
  readonly eachToken?: boolean; // told by itself, however many a step has made
  readonly session?: string | null; // with which what is remembered of the answer is forgotten
  readonly route?: string; // where it was asked for, for the log
  readonly lastTurn?: LastTurn | null; // of the same conversation
}

/** Ends an answer by what it says, as if it had run into its length. */
export interface TextCutoff {
  /** What of the next token's text may be shown, and whether the answer ends with it. */
  push(piece: string): { readonly shown: string; readonly ends: boolean };
}

/** Text that is safe to show: no half character, no part of a stop string. Parallel arrays describe its tokens. */
export interface GenerationDelta {
  readonly choice: number;
  readonly text: string; // may be '' while a character or a possible stop string is incomplete
  readonly tokens: readonly number[]; // ids newly delivered with this delta
  readonly index: number; // of tokens[0] within the choice's output
  readonly logprobs: readonly TokenLogprobs[] | null;
  readonly promptLogprobs?: readonly TokenLogprobs[]; // [promptTokens − 1] all but the first; once, where asked for
  readonly events?: readonly AnswerEvent[]; // of an upstream: what its text is, which it has read itself
}

/** A part of an answer. A call's arguments are JSON. */
export type AnswerEvent =
  | { readonly kind: 'text' | 'reasoning' | 'callDelta'; readonly text: string }
  | { readonly kind: 'callStart'; readonly name: string }
  | { readonly kind: 'callEnd' };

export interface GenerationEnd extends SequenceUsage {
  readonly choice: number;
  readonly reason: 'stop' | 'length' | 'cancelled' | 'failed';
  readonly stopString: string | null; // the one that ended it, if any
  readonly failure: GenerationFailure | null;
  readonly lastTurn?: LastTurn | null; // of the request
  readonly cost?: number; // of all choices, with the last of them; where lanes have prices
}

export interface GenerationSink {
  onDelta(delta: GenerationDelta): void;
  onEnd(end: GenerationEnd): void; // once per choice; if it throws once more, with `threwAt` of it
}

/** How an answer ends whose reader threw. */
export const THREW = {
  reason: 'failed',
  failure: { code: 'request-threw', message: INTERNAL },
} as const;

/** What a reader is told that threw at its end: it failed. Else its caller would wait for ever. */
export function threwAt(end: GenerationEnd): GenerationEnd {
  return { ...end, ...THREW };
}

/** Accepted: every choice will end through the sink. All three are idempotent and harmless after the end. */
export interface RunningGeneration {
  readonly ok: true;
  cancel(): void;
  pause(): void; // the reader is slow; seats are kept
  resume(): void;
}

export type GenerateResult = RunningGeneration | Extract<SubmitResult, { readonly ok: false }>;

export interface TextOptions {
  readonly specials: boolean; // shown, every one
}

/** Ids in, text out, for one output; never half a character. models/tokenizer/detokenizer.ts is one. */
export interface IncrementalText {
  push(id: number): string;
  flush(): string;
}

export interface GeneratorParts {
  readonly engine: SequenceEngine;
  readonly stopTokenIds: readonly number[]; // the model's
  readonly openText: (options?: TextOptions) => IncrementalText;
  readonly random: Random; // seeds of requests that bring none
  readonly memories?: AnswerMemories | null; // of earlier answers, to guess from
  readonly watch?: (request: GenerationRequest, sink: GenerationSink) => GenerationSink; // beside its reader
}

export class TextGenerator {
  readonly #parts: GeneratorParts;

  constructor(parts: GeneratorParts) {
    this.#parts = parts;
  }

  /** Longest prompt and output together. */
  get contextTokensMax(): number {
    return this.#parts.engine.contextTokensMax;
  }

  /** The session is over: nothing is guessed from its answers any more. */
  forget(owner: string, session: string): void {
    this.#parts.memories?.forget(owner, session);
  }

  /** Starts all choices or none. The sink is called from the engine's commits only, never in the caller's stack. */
  start(request: GenerationRequest, reader: GenerationSink): GenerateResult {
    const { engine, openText, random, watch, memories = null } = this.#parts;
    const sink = watch?.(request, reader) ?? reader;
    const seed = request.seed ?? random.seed();
    const ends = endsOf(request, this.#parts.stopTokenIds);
    const speculation = request.speculation ?? null;
    const remembered = speculation === null ? null : (memories?.of(request.cacheSalt) ?? null);
    const choices: Choice[] = [];
    for (let index = 0; index < request.choiceCount; index++) {
      const choice = new Choice({
        index,
        request,
        sink,
        engine,
        text: openText({ specials: request.showsSpecials ?? false }),
        ends: new Set(ends),
        memories: remembered === null ? null : memories,
      });
      const submitted = engine.submit(
        {
          tokens: request.tokens,
          maxTokens: request.maxTokens,
          sampling: samplingOf(request, { seed, stream: index, stopTokenIds: ends }),
          constraint: narrowed([request.newConstraint?.() ?? null, request.narrowing?.() ?? null]),
          ignoreStopTokens: request.ignoreStopTokens && ends.length === 0,
          endsWith: endJudge(request, openText({ specials: request.showsSpecials ?? false }), new Set(ends)),
          promptLogprobs: request.promptLogprobs ?? null,
          speculation: speculation === null ? null : { ...speculation, remembered },
          priority: request.priority,
          cacheSalt: request.cacheSalt,
          deadlineMs: request.deadlineMs,
        },
        choice,
      );
      if (!submitted.ok) {
        for (const started of choices) started.abandon();
        return submitted;
      }
      choice.sequenceId = submitted.sequenceId;
      choices.push(choice);
    }
    return {
      ok: true,
      cancel: () => {
        for (const choice of choices) engine.cancel(choice.sequenceId);
      },
      pause: () => {
        for (const choice of choices) engine.pause(choice.sequenceId);
      },
      resume: () => {
        for (const choice of choices) engine.resume(choice.sequenceId);
      },
    };
  }
}

/** One choice: receives its sequence's tokens, tells the sink text. */
class Choice implements SequenceSink {
  sequenceId = 0;
  readonly #index: number;
  readonly #request: GenerationRequest;
  readonly #engine: SequenceEngine;
  readonly #text: IncrementalText;
  readonly #ends: ReadonlySet<number>; // tokens
  readonly #stops: StopStrings | null;
  readonly #cutoff: TextCutoff | null;
  #cut = false; // by it
  #sink: GenerationSink | null; // null: nobody listens any more
  readonly #memories: AnswerMemories | null; // null: the answer is not remembered
  readonly #said: number[] = []; // for them
  #outputTokens = 0; // up to and including the token that completed a stop string or met the cutoff

  constructor(parts: {
    index: number;
    request: GenerationRequest;
    sink: GenerationSink;
    engine: SequenceEngine;
    text: IncrementalText;
    ends: ReadonlySet<number>;
    memories: AnswerMemories | null;
  }) {
    this.#memories = parts.memories;
    this.#index = parts.index;
    this.#request = parts.request;
    this.#sink = parts.sink;
    this.#engine = parts.engine;
    this.#text = parts.text;
    this.#ends = parts.ends;
    const { stopStrings, showsEnd = false } = parts.request;
    this.#stops = stopStrings.length === 0 ? null : new StopStrings(stopStrings, showsEnd);
    this.#cutoff = parts.request.newCutoff?.() ?? null;
  }

  /** A sibling was refused: the request never started. */
  abandon(): void {
    this.#sink = null;
    this.#engine.cancel(this.sequenceId);
  }

  onPrompt(promptLogprobs: readonly TokenLogprobs[]): void {
    this.#sink?.onDelta({
      ...{ choice: this.#index, text: '', tokens: [], index: 0, logprobs: null },
      promptLogprobs,
    });
  }

  onTokens(tokens: readonly number[], index: number, logprobs: readonly TokenLogprobs[] | null): void {
    // A step in flight when the cutoff came still delivers; those tokens are not part of the answer.
    if (this.#sink === null || this.#stopped) return;
    if (this.#request.eachToken === true && tokens.length > 1) {
      for (const [at, token] of tokens.entries()) {
        this.onTokens([token], index + at, logprobs === null ? null : logprobs.slice(at, at + 1));
      }
      return;
    }
    if (this.#memories !== null) this.#said.push(...tokens);
    let text = '';
    let used = 0;
    while (used < tokens.length && !this.#stopped) text += this.#textOf(tokens[used++]!);
    const all = used === tokens.length;
    this.#sink.onDelta({
      choice: this.#index,
      text,
      tokens: all ? tokens : tokens.slice(0, used),
      index,
      logprobs: all || logprobs === null ? logprobs : logprobs.slice(0, used),
    });
    if (this.#stopped) this.#engine.cancel(this.sequenceId);
  }

  onEnd(end: SequenceEnd): void {
    const sink = this.#sink;
    if (sink === null) return;
    this.#sink = null;
    try {
      this.#remember(end);
      const text = this.#rest();
      if (text !== '') {
        sink.onDelta({ choice: this.#index, text, tokens: [], index: this.#outputTokens, logprobs: null });
      }
      sink.onEnd(this.#endOf(end));
    } catch (error) {
      sink.onEnd(threwAt(this.#endOf(end)));
      throw error;
    }
  }

  #endOf(end: SequenceEnd): GenerationEnd {
    return {
      choice: this.#index,
      reason: this.#cut ? 'length' : this.#stopped ? 'stop' : end.reason,
      stopString: this.#stops?.matched ?? null,
      failure: this.#stopped ? null : end.failure,
      promptTokens: end.usage.promptTokens,
      cachedTokens: end.usage.cachedTokens,
      outputTokens: this.#outputTokens,
      acceptedDraftTokens: end.usage.acceptedDraftTokens,
      rejectedDraftTokens: end.usage.rejectedDraftTokens,
      queueMs: end.usage.queueMs,
      missReason: end.usage.missReason ?? null,
      lastTurn: this.#request.lastTurn ?? null,
    };
  }

  /** What came to its end: of an answer that nobody wanted, or whose session is over, nothing is kept. */
  #remember({ reason }: SequenceEnd): void {
    if (!this.#stopped && reason !== 'stop' && reason !== 'length') return;
    const { cacheSalt, session = null } = this.#request;
    this.#memories?.remember(cacheSalt, session, this.#said);
  }

  get #stopped(): boolean {
    return this.#cut || (this.#stops !== null && this.#stops.matched !== null);
  }

  /** Showable text after one more token. */
  #textOf(id: number): string {
    this.#outputTokens++;
    // The token that ends the sequence has no text, special or not, unless it was asked for.
    if (this.#ends.has(id) && this.#request.showsEnd !== true) return '';
    const piece = this.#allowed(this.#text.push(id));
    // minTokens are promised whatever they say, so no stop string starts in them.
    if (this.#stops === null || this.#outputTokens <= this.#request.minTokens) return piece;
    return this.#stops.push(piece);
  }

  #allowed(piece: string): string {
    if (this.#cutoff === null || piece === '') return piece;
    const { shown, ends } = this.#cutoff.push(piece);
    this.#cut = ends;
    return shown;
  }

  /** Held-back text once nothing more can come: an unfinished character, then an unfinished stop string. */
  #rest(): string {
    if (this.#cut) return this.#stops?.flush() ?? '';
    if (this.#stopped) return '';
    const piece = this.#text.flush();
    return this.#stops === null ? piece : this.#stops.push(piece) + this.#stops.flush();
  }
}

/**
 * Whether an answer ends with its next token because a stop string is complete, for the engine, which asks before anybody is told;
 * null: it has none. Sees the text that a Choice shows, and owns one of its own: what is told may be behind.
 */
function endJudge(
  { stopStrings, minTokens, showsEnd = false }: GenerationRequest,
  text: IncrementalText,
  ends: ReadonlySet<number>,
): ((token: number) => boolean) | null {
  if (stopStrings.length === 0) return null;
  const stops = new StopStrings(stopStrings);
  let count = 0;
  return (token) => {
    count++;
    if (ends.has(token) && !showsEnd) return false;
    const piece = text.push(token);
    if (count > minTokens) stops.push(piece);
    return stops.matched !== null;
  };
}

/** Tokens that end an answer: the model's own, unless they are to be ignored, and those that were asked for. */
function endsOf(
  { ignoreStopTokens, stopTokenIds = [] }: GenerationRequest,
  own: readonly number[],
): readonly number[] {
  return ignoreStopTokens ? stopTokenIds : [...own, ...stopTokenIds];
}

function samplingOf(
  request: GenerationRequest,
  own: Pick<SamplingParams, 'seed' | 'stream' | 'stopTokenIds'>,
): SamplingParams {
  return {
    temperature: request.temperature,
    topP: request.topP,
    topK: request.topK,
    minP: request.minP,
    repetitionPenalty: request.repetitionPenalty,
    frequencyPenalty: request.frequencyPenalty,
    presencePenalty: request.presencePenalty,
    logitBias: request.logitBias,
    seed: own.seed,
    stream: own.stream,
    logprobs: request.logprobs,
    minTokens: request.minTokens,
    stopTokenIds: own.stopTokenIds,
  };
}
