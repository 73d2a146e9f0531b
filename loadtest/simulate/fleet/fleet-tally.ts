// FleetTally: what the users of a fleet got, as numbers in fixed memory: all of it, and window by window, so that a failure and what
// came after it can be seen. Before it: fleet.ts.
import { Histogram } from '../../statistics/histogram.ts';
import type { SloBounds } from '../tally.ts';

/** An answered turn. Times are from the moment at which it was meant to be sent, whatever had to be asked again. */
export interface AnsweredTurn {
  readonly ttftMs: number;
  readonly e2eMs: number;
  readonly tpotMs: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

export interface FleetWindow {
  readonly atMs: number; // its end
  readonly turnCount: number;
  readonly goodShare: number | null; // null: no turn ended in it
  readonly cachedShare: number | null;
  readonly ttftMeanMs: number | null;
}

interface Sums {
  turns: number;
  good: number;
  prompt: number;
  cached: number;
  ttftMs: number;
}

const nothing = (): Sums => ({ turns: 0, good: 0, prompt: 0, cached: 0, ttftMs: 0 });

export class FleetTally {
  readonly ttft = new Histogram();
  readonly tpot = new Histogram();
  readonly e2e = new Histogram();
  readonly windows: FleetWindow[] = [];
  readonly total = nothing();
  outputTokens = 0;
  retryCount = 0; // turns that were asked again because their node was lost
  counting = false;
  readonly #slo: SloBounds;
  #window = nothing();

  constructor(slo: SloBounds) {
    this.#slo = slo;
  }

  answered(turn: AnsweredTurn): void {
    const good = turn.ttftMs <= this.#slo.ttftMsMax && turn.tpotMs <= this.#slo.tpotMsMax;
    add(this.#window, turn, good);
    if (!this.counting) return;
    add(this.total, turn, good);
    this.ttft.record(turn.ttftMs);
    this.e2e.record(turn.e2eMs);
    if (turn.outputTokens > 1) this.tpot.record(turn.tpotMs);
    this.outputTokens += turn.outputTokens;
  }

  /** A window ends. */
  close(atMs: number): void {
    const { turns, good, prompt, cached, ttftMs } = this.#window;
    const share = (part: number, whole: number) => (whole === 0 ? null : part / whole);
    this.windows.push({
      atMs,
      turnCount: turns,
      goodShare: share(good, turns),
      cachedShare: share(cached, prompt),
      ttftMeanMs: share(ttftMs, turns),
    });
    this.#window = nothing();
  }
}

function add(sums: Sums, { ttftMs, promptTokens, cachedTokens }: AnsweredTurn, good: boolean): void {
  sums.turns++;
  if (good) sums.good++;
  sums.prompt += promptTokens;
  sums.cached += cachedTokens;
  sums.ttftMs += ttftMs;
}
