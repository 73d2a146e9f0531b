// One line of the log per answer, whatever API asked for it: how long the prompt was and how much of it was known, when the
// first token came and how fast the others, how it ended. Owns the counting between a generator and its reader; no text.
// Before it: generation.ts and chat/upstream-answering.ts; after it: base/log.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import type { GenerationDelta, GenerationEnd, GenerationRequest, GenerationSink } from './generation.ts';

export class AnswerLog {
  readonly #clock: Clock;
  readonly #log: Pick<Log, 'info'>;

  constructor(clock: Clock, log: Pick<Log, 'info'>) {
    this.#clock = clock;
    this.#log = log;
  }

  /** A sink that writes the line once all choices have ended; `model` as it is called here. */
  watch(
    request: Pick<GenerationRequest, 'choiceCount' | 'route'>,
    sink: GenerationSink,
    model: string,
  ): GenerationSink {
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
          this.#log.info('answer', { route: request.route ?? null, model, ...factsOf(ends, times) });
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

function factsOf(
  ends: readonly GenerationEnd[],
  { askedMs, firstMs, lastMs, endMs }: Times,
): Readonly<Record<string, unknown>> {
  const sum = (count: (end: GenerationEnd) => number) => ends.reduce((total, end) => total + count(end), 0);
  const outputTokens = sum((end) => end.outputTokens);
  const prompt = ends.find(({ choice }) => choice === 0);
  const drawMs = firstMs === null ? 0 : lastMs - firstMs;
  const failure = ends.find((end) => end.failure !== null)?.failure ?? null;
  return {
    promptTokens: prompt?.promptTokens ?? 0,
    cachedTokens: prompt?.cachedTokens ?? 0,
    outputTokens,
    ttftMs: firstMs === null ? null : rounded(firstMs - askedMs),
    tokensPerSecond:
      drawMs > 0 && outputTokens > ends.length
        ? rounded(((outputTokens - ends.length) / drawMs) * 1000)
        : null,
    totalMs: rounded(endMs - askedMs),
    finish: [...new Set(ends.map(({ reason }) => reason))].join(','),
    ...(failure !== null && { failure: failure.code }),
  };
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
