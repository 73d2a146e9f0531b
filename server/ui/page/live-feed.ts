// The live stream as the page keeps it: the latest report and the last ten minutes of points, never more. Connects again when
// the line breaks, slower each time. Before it: the live panes; after it: GET /ui/live.
import { type Api, ApiError, wordsOf } from './api.ts';
import type { Browser } from './browser.ts';
import { readEvents } from './event-stream.ts';
import type { LiveHistory, LivePoint, LiveReport } from './live-report.ts';
import { Store } from './store.ts';

export interface LiveState {
  readonly report: LiveReport | null;
  readonly points: readonly LivePoint[]; // the oldest first
  readonly pointMs: number;
  readonly trouble: string; // why nothing comes; '' while it does
}

const POINTS_MAX = 300;
const RETRY_MS = [1000, 2000, 5000, 10_000];

export class LiveFeed extends Store<LiveState> {
  readonly #api: Pick<Api, 'open'>;
  readonly #browser: Pick<Browser, 'later'>;
  #watchers = 0;
  #line: AbortController | null = null;
  #callOff: (() => void) | null = null;
  #failures = 0;

  constructor(api: Pick<Api, 'open'>, browser: Pick<Browser, 'later'>) {
    super({ report: null, points: [], pointMs: 2000, trouble: '' });
    this.#api = api;
    this.#browser = browser;
  }

  /** The line is open while somebody watches. Answers how to stop. */
  watch(): () => void {
    if (this.#watchers++ === 0) void this.#connect();
    let watching = true;
    return () => {
      if (!watching) return;
      watching = false;
      if (--this.#watchers > 0) return;
      this.#line?.abort();
      this.#callOff?.();
    };
  }

  async #connect(): Promise<void> {
    const line = new AbortController();
    this.#line = line;
    let trouble = 'the server has ended the stream';
    try {
      const response = await this.#api.open('ui/live', { signal: line.signal });
      this.#failures = 0;
      await readEvents(response, (data, event) => this.#take(JSON.parse(data), event));
    } catch (error) {
      trouble = wordsOf(error);
      if (error instanceof ApiError && error.status === 401) return; // the page asks for a key, then watches anew
    }
    if (line.signal.aborted || this.#watchers === 0) return;
    this.set({ trouble });
    const delayMs = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)]!;
    this.#callOff = this.#browser.later(delayMs, () => void this.#connect());
  }

  #take(data: LiveHistory | LiveReport, event: string | undefined): void {
    if (event === 'history') {
      const { points, pointMs } = data as LiveHistory;
      this.set({ points: points.slice(-POINTS_MAX), pointMs, trouble: '' });
    } else if (event === 'live') {
      const report = data as LiveReport;
      const { points } = this.state;
      const { point } = report;
      this.set({
        report,
        trouble: '',
        ...(point !== null && { points: [...points.slice(-(POINTS_MAX - 1)), point] }),
      });
    }
  }
}
