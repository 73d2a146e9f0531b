// Untold: what has happened to sequences and their readers have not heard of yet, in order: tokens first, then ends. The engine
// says when they are told. Used by engine.ts.
import type { TokenLogprobs } from '../../kernels/backend.ts';
import type { Reporter } from './reporter.ts';
import type { SequenceEnd } from './request.ts';
import type { Sequence } from './sequence.ts';

/** What one step has drawn for a sequence. */
export interface Drawn {
  readonly sequence: Sequence;
  readonly index: number; // of its first token within the output
  tokens: number[];
  readonly logprobs: TokenLogprobs[] | null;
  judged: readonly TokenLogprobs[] | null; // tokens of the prompt, all of them
}

interface Ended {
  readonly sequence: Sequence;
  readonly end: SequenceEnd;
}

/** A reader has thrown; it is told the end only. */
type OnThrow = (sequence: Sequence, error: unknown) => void;

export class Untold {
  readonly #onThrow: OnThrow;
  // Counted, not emptied: an array that is cut to nothing after each step gets new memory in each step.
  readonly #drawn: (Drawn | null)[] = [];
  #drawnCount = 0;
  #ended: Ended[] = [];

  constructor(onThrow: OnThrow) {
    this.#onThrow = onThrow;
  }

  drew(drawn: Drawn): void {
    this.#drawn[this.#drawnCount++] = drawn;
  }

  ended(sequence: Sequence, end: SequenceEnd): void {
    this.#ended.push({ sequence, end });
  }

  tellDrawn(): void {
    for (let at = 0; at < this.#drawnCount; at++) {
      const drawn = this.#drawn[at]!;
      this.#drawn[at] = null;
      try {
        tellOne(drawn);
      } catch (error) {
        this.#onThrow(drawn.sequence, error);
      }
    }
    this.#drawnCount = 0;
  }

  /** False: nobody has ended. */
  tellEnds(reporter: Reporter): boolean {
    if (this.#ended.length === 0) return false;
    const ended = this.#ended;
    this.#ended = [];
    for (const { sequence, end } of ended) {
      reporter.end(sequence, end);
      try {
        sequence.sink.onEnd(end);
      } catch (error) {
        this.#onThrow(sequence, error);
      }
    }
    return true;
  }
}

function tellOne({ sequence, tokens, index, logprobs, judged }: Drawn): void {
  if (sequence.departure !== null) return; // another reader's reaction cancelled it
  if (judged !== null) sequence.sink.onPrompt?.(judged);
  if (tokens.length > 0 && sequence.departure === null) sequence.sink.onTokens(tokens, index, logprobs);
}
