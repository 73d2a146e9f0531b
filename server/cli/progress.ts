// What is shown while something takes long, on standard error: a bar where a person watches, a line every ten seconds
// where nobody does but a log. Owns its look. Used by build.ts, local-server.ts and hub-model.ts.
import { Presets, SingleBar } from 'cli-progress';
import type { BuildProgress } from '../../models/graph/graph-files.ts';
import { sizeText } from '../hub/size-text.ts';
import type { Host } from './terminal.ts';

export interface ProgressBar {
  readonly onProgress: (progress: BuildProgress) => void;
  /** Idempotent. */
  end(): void;
}

export interface TransferBar {
  /** Sizes in bytes. `arrivedSize` is what came over the network: the rate is made of it. */
  readonly onProgress: (progress: BuildProgress & { readonly arrivedSize: number }) => void;
  /** Idempotent. Takes the bar away, so that something else can be said. */
  end(): void;
}

const MIB = 1024 * 1024;
const REFRESH_PER_SECOND = 10;
const LINE_INTERVAL_MS = 10_000;
const RATE_WINDOW_MS = 15_000; // the rate is of so long ago until now

/** For building a graph. */
export function progressBar({ terminal, clock }: Host, title: string): ProgressBar {
  const { screen } = terminal;
  if (screen === null) {
    const line = everyTenSeconds();
    return {
      onProgress: ({ doneSize, totalSize }) => {
        const percent = Math.floor((100 * doneSize) / Math.max(1, totalSize));
        if (line(clock.nowMs()))
          terminal.note(`${title}: ${percent} % of ${Math.ceil(totalSize / MIB)} MiB\n`);
      },
      end: () => {},
    };
  }
  const bar = new Bar(screen, `${title} {bar} {percentage} % of {total} MiB{left}`);
  const rate = new Rate();
  return {
    onProgress: ({ doneSize, totalSize }) => {
      // The bar's own estimate is of the last few steps, and "NFs" where none of them took time.
      const left = leftText(totalSize - doneSize, rate.after(doneSize, clock.nowMs()));
      bar.show({ done: Math.ceil(doneSize / MIB), total: Math.ceil(totalSize / MIB), words: { left } });
    },
    end: () => bar.end(),
  };
}

/** For fetching files. */
export function transferBar({ terminal, clock }: Host, title: string): TransferBar {
  const { screen } = terminal;
  const rate = new Rate();
  const line = everyTenSeconds();
  const startMs = clock.nowMs();
  const bar = screen === null ? null : new Bar(screen, `${title} {bar} {percentage} % of {size}{pace}`);
  return {
    onProgress: ({ doneSize, totalSize, arrivedSize }) => {
      const nowMs = clock.nowMs();
      const perSecond = rate.after(arrivedSize, nowMs);
      const left = leftText(totalSize - doneSize, perSecond);
      const pace = perSecond > 0 ? `, ${sizeText(Math.round(perSecond))}/s${left}` : '';
      if (bar !== null) {
        bar.show({ done: doneSize, total: totalSize, words: { size: sizeText(totalSize), pace } });
        // To read what is there already takes a moment, of which a log need not know.
      } else if ((arrivedSize > 0 || nowMs - startMs >= LINE_INTERVAL_MS) && line(nowMs)) {
        const percent = Math.floor((100 * doneSize) / Math.max(1, totalSize));
        terminal.note(`${title}: ${percent} % of ${sizeText(totalSize)}${pace}\n`);
      }
    },
    end: () => bar?.end(),
  };
}

class Bar {
  readonly #bar: SingleBar;
  #total: number | null = null; // null: not on the screen

  constructor(stream: NodeJS.WritableStream, format: string) {
    this.#bar = new SingleBar(
      {
        format,
        stream,
        fps: REFRESH_PER_SECOND,
        hideCursor: true,
        clearOnComplete: true,
        stopOnComplete: true,
        gracefulExit: false, // signals are ours
      },
      Presets.shades_classic,
    );
  }

  show({ done, total, words }: { done: number; total: number; words: object }): void {
    if (this.#total === null) this.#bar.start(total, 0, words);
    else if (this.#total !== total) this.#bar.setTotal(total);
    this.#total = total;
    this.#bar.update(done, words);
  }

  end(): void {
    this.#bar.stop();
    this.#total = null;
  }
}

/** Bytes per second of the last while; 0 until there is one. */
class Rate {
  #samples: { readonly size: number; readonly atMs: number }[] = [];

  after(size: number, nowMs: number): number {
    const last = this.#samples.at(-1);
    if (last === undefined || nowMs - last.atMs >= RATE_WINDOW_MS / 30)
      this.#samples.push({ size, atMs: nowMs });
    while (this.#samples.length > 2 && nowMs - this.#samples[1]!.atMs > RATE_WINDOW_MS) this.#samples.shift();
    const [first] = this.#samples;
    const elapsedMs = nowMs - first!.atMs;
    return elapsedMs > 0 ? Math.max(0, (1000 * (size - first!.size)) / elapsedMs) : 0;
  }
}

/** At once, and then every ten seconds. */
function everyTenSeconds(): (nowMs: number) => boolean {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (nowMs) => {
    if (nowMs - lastMs < LINE_INTERVAL_MS) return false;
    lastMs = nowMs;
    return true;
  };
}

function leftText(size: number, perSecond: number): string {
  return perSecond > 0 ? `, ${durationText(size / perSecond)} left` : '';
}

function durationText(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
