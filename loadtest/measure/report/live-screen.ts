// A snapshot of a running test as the lines a terminal shows. Pure.

import { formatMs, formatShare } from '../../show/format.ts';
import type { Snapshot } from './live-view.ts';

const BAR_WIDTH = 32; // characters

export function liveLines(snapshot: Snapshot, columns: number): string[] {
  const { elapsedMs, plannedMs, isWarmup, turns, inFlight, ttftMs, itlMs, errors } = snapshot;
  const share = plannedMs > 0 ? Math.min(1, elapsedMs / plannedMs) : 0;
  const filled = Math.round(share * BAR_WIDTH);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
  const left =
    elapsedMs >= plannedMs ? 'waiting for the last answers' : `${clockText(plannedMs - elapsedMs)} left`;
  const failed =
    errors.length === 0 ? 'none' : errors.map(([kind, count]) => `${count} × ${kind}`).join(', ');
  return [
    snapshot.title,
    `${bar} ${clockText(elapsedMs)} of ${clockText(plannedMs)}, ${left}${isWarmup ? ' · warming up, not counted' : ''}`,
    `turns ${turns} counted, ${inFlight} under way · ${snapshot.requestsPerSecond.toFixed(1)} turns/s · ${Math.round(snapshot.tokensPerSecond)} tokens/s · good ${formatShare(snapshot.goodShare)}`,
    `TTFT p50 ${formatMs(ttftMs[0])}, p90 ${formatMs(ttftMs[1])} · ITL per burst p50 ${formatMs(itlMs[0])}, p99 ${formatMs(itlMs[1])}`,
    `errors ${failed}`,
  ].map((line) => line.slice(0, Math.max(20, columns - 1)));
}

function clockText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
