// A progress bar for building graphs, on standard error. Owns its look; shows nothing where nobody watches.
// Used by build.ts and serve.ts.
import { Presets, SingleBar } from 'cli-progress';
import type { BuildProgress } from '../../models/graph/build.ts';
import type { Terminal } from './terminal.ts';

export interface ProgressBar {
  readonly onProgress: (progress: BuildProgress) => void;
  /** Idempotent. */
  end(): void;
}

const MIB = 1024 * 1024;
const REFRESH_PER_SECOND = 10;

export function progressBar(terminal: Terminal, title: string): ProgressBar {
  const { screen } = terminal;
  if (screen === null) return { onProgress: () => {}, end: () => {} };
  const bar = new SingleBar(
    {
      format: `${title} {bar} {percentage} % of {total} MiB, {eta_formatted} left`,
      stream: screen,
      fps: REFRESH_PER_SECOND,
      hideCursor: true,
      clearOnComplete: true,
      stopOnComplete: true,
      gracefulExit: false, // signals are ours
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    onProgress: ({ doneSize, totalSize }) => {
      if (!started) bar.start(Math.ceil(totalSize / MIB), 0);
      started = true;
      bar.update(Math.ceil(doneSize / MIB));
    },
    end: () => bar.stop(),
  };
}
