// How long the parts of an answer took: until the first token, and from there to the last. Owns the counts of one
// request's choices; time comes from its clock. Told what happens by the shapes that
// report times (llama/infill-events.ts, ollama/events.ts).
import type { Clock } from '../../kernels/clock.ts';
import type { GenerationDelta, GenerationEnd } from './generation.ts';

export interface ChoiceTimes {
  readonly promptMs: number; // from its seat to the first token, or to the end of one without
  readonly predictedMs: number; // from the first token to the last
  readonly totalMs: number; // from the request on, waiting for a seat included
}

interface Marks {
  firstMs: number | null;
  lastMs: number;
  queueMs: number;
}

export class AnswerTimes {
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #marks = new Map<number, Marks>(); // by choice

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
  }

  onDelta(choice: number, { tokens }: Pick<GenerationDelta, 'tokens'>): void {
    if (tokens.length === 0) return;
    const marks = this.#of(choice);
    marks.lastMs = this.#clock.nowMs();
    marks.firstMs ??= marks.lastMs;
  }

  onEnd(choice: number, { queueMs }: Pick<GenerationEnd, 'queueMs'>): void {
    const marks = this.#of(choice);
    marks.queueMs = queueMs;
    if (marks.firstMs === null) marks.lastMs = this.#clock.nowMs();
  }

  of(choice: number): ChoiceTimes {
    const { firstMs, lastMs, queueMs } = this.#of(choice);
    const computedMs = (firstMs ?? lastMs) - this.#startMs;
    return {
      promptMs: Math.max(0, computedMs - queueMs),
      predictedMs: firstMs === null ? 0 : lastMs - firstMs,
      totalMs: lastMs - this.#startMs,
    };
  }

  #of(choice: number): Marks {
    let marks = this.#marks.get(choice);
    if (marks === undefined) {
      marks = { firstMs: null, lastMs: this.#startMs, queueMs: 0 };
      this.#marks.set(choice, marks);
    }
    return marks;
  }
}
