// One line of the log per answer, whatever API asked for it: how long the prompt was and how much of it was known, when the
// first token came and how fast the others, how it ended. Owns the counting between a generator and its reader; no text.
// Before it: generation.ts and chat/upstream-answering.ts; after it: base/log.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import type { GenerationDelta, GenerationEnd, GenerationRequest, GenerationSink } from './generation.ts';
import { prefixLine } from './prefix-report.ts';

/** An answer that has ended, in numbers and names. */
export interface AnswerReport extends AnswerCounts {
  readonly route: string | null;
  readonly model: string;
  readonly request: AskedFor;
  readonly totalMs: number;
}

interface AnswerCounts {
  readonly promptTokens: number;
  readonly cachedTokens: number; // of the prompt
  readonly outputTokens: number; // of all choices
  readonly ttftMs: number | null; // null: no token came
  readonly drawMs: number; // first token to last
  readonly finishReasons: readonly string[];
  readonly failure: string | null; // its code
  readonly prefix: Readonly<Record<string, unknown>>; // why the prompt was computed
}

/** What of a request is told; an upstream's knows less. */
type AskedFor = Pick<GenerationRequest, 'choiceCount' | 'route'> &
  Partial<
    Pick<
      GenerationRequest,
      | 'maxTokens'
      | 'temperature'
      | 'topP'
      | 'topK'
      | 'seed'
      | 'frequencyPenalty'
      | 'presencePenalty'
      | 'stopStrings'
    >
  >;

export class AnswerLog {
  readonly #clock: Clock;
  readonly #log: Pick<Log, 'info'>;
  readonly #onAnswer: ((report: AnswerReport) => void) | null;

  /** `onAnswer` hears of every answer as well. */
  constructor(
    clock: Clock,
    log: Pick<Log, 'info'>,
    onAnswer: ((report: AnswerReport) => void) | null = null,
  ) {
    this.#clock = clock;
    this.#log = log;
    this.#onAnswer = onAnswer;
  }

  /** A sink that writes the line once all choices have ended; `model` as it is called here. */
  watch(request: AskedFor, sink: GenerationSink, model: string): GenerationSink {
    const clock = this.#clock;
    const askedMs = clock.nowMs();
    let firstMs: number | null = null;
    let lastMs = askedMs;
    const ends: GenerationEnd[] = [];
    return {
      onDelta: (delta: GenerationDelta) => {
        lastMs = clock.nowMs();
        firstMs ??= lastMs;
        sink.onDelta(delta);
      },
      onEnd: (end: GenerationEnd) => {
        ends.push(end);
        if (ends.length === request.choiceCount) {
          const times = { askedMs, firstMs, lastMs, endMs: clock.nowMs() };
          const [route, counts, totalMs] = [
            request.route ?? null,
            countsOf(ends, times),
            times.endMs - askedMs,
          ];
          this.#log.info('answer', { route, model, ...lineOf(counts, totalMs, ends.length) });
          this.#onAnswer?.({ route, model, request, totalMs, ...counts });
        }
        sink.onEnd(end);
      },
    };
  }
}

interface Times {
  readonly askedMs: number;
  readonly firstMs: number | null; // null: no token came
  readonly lastMs: number;
  readonly endMs: number;
}

function countsOf(ends: readonly GenerationEnd[], { askedMs, firstMs, lastMs }: Times): AnswerCounts {
  const prompt = ends.find(({ choice }) => choice === 0);
  return {
    promptTokens: prompt?.promptTokens ?? 0,
    cachedTokens: prompt?.cachedTokens ?? 0,
    outputTokens: ends.reduce((total, end) => total + end.outputTokens, 0),
    ttftMs: firstMs === null ? null : firstMs - askedMs,
    drawMs: firstMs === null ? 0 : lastMs - firstMs,
    finishReasons: [...new Set(ends.map(({ reason }) => reason))],
    failure: ends.find((end) => end.failure !== null)?.failure?.code ?? null,
    prefix: prompt === undefined ? {} : prefixLine(prompt),
  };
}

function lineOf(
  counts: AnswerCounts,
  totalMs: number,
  choiceCount: number,
): Readonly<Record<string, unknown>> {
  const { promptTokens, cachedTokens, outputTokens, ttftMs, drawMs, finishReasons, failure } = counts;
  return {
    ...{ promptTokens, cachedTokens, ...counts.prefix, outputTokens },
    ttftMs: ttftMs === null ? null : rounded(ttftMs),
    tokensPerSecond:
      drawMs > 0 && outputTokens > choiceCount
        ? rounded(((outputTokens - choiceCount) / drawMs) * 1000)
        : null,
    totalMs: rounded(totalMs),
    finish: finishReasons.join(','),
    ...(failure !== null && { failure }),
  };
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
