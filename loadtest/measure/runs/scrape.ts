// The server's own metrics beside the client's: its Prometheus page, once a second while a run goes on. Owns the reading of the
// text format and a bounded table of series; a page that cannot be read is counted, and the run goes on.
import type { Clock, Timer } from '../../../kernels/clock.ts';
import { get } from '../wires/probe.ts';
import type { HttpWire } from '../wires/wire.ts';
import type { RunReport } from './report-schema.ts';

const PERIOD_MS = 1000;
const SERIES_MAX = 2000;
const LEFT_OUT = /_(bucket|created)$/; // histograms are told by their sums and counts

export type ScrapeReport = NonNullable<RunReport['serverMetrics']>;

interface Sums {
  readonly kind: string;
  readonly first: number;
  last: number;
  min: number;
  max: number;
  sum: number;
  count: number;
}

export class Scraper {
  readonly #route: string;
  readonly #wire: HttpWire;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #clock: Clock;
  readonly #series = new Map<string, Sums>();
  #timer: Timer | null = null;
  #samples = 0;
  #failures = 0;
  #message: string | null = null;
  #running = true;

  constructor(
    route: string,
    { wire, headers, clock }: { wire: HttpWire; headers: Readonly<Record<string, string>>; clock: Clock },
  ) {
    this.#route = route;
    this.#wire = wire;
    this.#headers = headers;
    this.#clock = clock;
  }

  start(): void {
    void this.#read();
  }

  /** Reads once more, so that counters are those of the end. */
  async stop(): Promise<ScrapeReport> {
    this.#running = false;
    this.#timer?.cancel();
    await this.#read();
    this.#wire.close();
    const series = [...this.#series].map(([name, { sum, count, ...rest }]) => ({
      name,
      ...rest,
      mean: sum / count,
    }));
    const { failures, message } = { failures: this.#failures, message: this.#message };
    return { route: this.#route, samples: this.#samples, failures, message, series };
  }

  async #read(): Promise<void> {
    const { status, text, failure } = await get(this.#wire, this.#headers, this.#route);
    if (status === 200 && failure === null) {
      this.#samples++;
      for (const { name, kind, value } of parseMetrics(text)) this.#add(name, kind, value);
    } else {
      this.#failures++;
      this.#message ??= failure ?? `answered ${status}`;
    }
    if (this.#running) this.#timer = this.#clock.schedule(PERIOD_MS, () => void this.#read());
  }

  #add(name: string, kind: string, value: number): void {
    const known = this.#series.get(name);
    if (known !== undefined) {
      known.last = value;
      known.min = Math.min(known.min, value);
      known.max = Math.max(known.max, value);
      known.sum += value;
      known.count++;
    } else if (this.#series.size < SERIES_MAX) {
      this.#series.set(name, {
        kind,
        first: value,
        last: value,
        min: value,
        max: value,
        sum: value,
        count: 1,
      });
    }
  }
}

/** Prometheus's text format and OpenMetrics: one sample a line; lines that are none are skipped. */
export function* parseMetrics(text: string): Generator<{ name: string; kind: string; value: number }> {
  const kinds = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, named, kind] = /^# TYPE (\S+) (\S+)/.exec(line) ?? [];
    if (named !== undefined) kinds.set(named, kind!);
    const match = /^([a-zA-Z_:][\w:]*)(\{.*\})?\s+(\S+)/.exec(line);
    if (match === null || LEFT_OUT.test(match[1]!)) continue;
    const value = Number(match[3]);
    if (!Number.isFinite(value)) continue;
    const base = match[1]!;
    const family = base.replace(/_(sum|count|total)$/, '');
    yield {
      name: `${base}${match[2] ?? ''}`,
      kind: kinds.get(base) ?? kinds.get(family) ?? 'untyped',
      value,
    };
  }
}
