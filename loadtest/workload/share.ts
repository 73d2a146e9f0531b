// WorkShare: one of several equal parts of a workload, so that several threads play it as one would: the same sessions at the same
// times, each by exactly one of them. Pure.
import type { Load } from './arrival.ts';

export interface WorkShare {
  readonly index: number; // from 0
  readonly count: number; // parts
}

/** Every `count`-th item, from the `index`-th on. */
export function* sharedOut<Item>(items: Iterator<Item>, { index, count }: WorkShare): Generator<Item> {
  for (let at = 0; ; at++) {
    const next = items.next();
    if (next.done) return;
    if (at % count === index) yield next.value;
  }
}

/** How many of `total` are its. */
export function partOf(total: number, { index, count }: WorkShare): number {
  return Number.isFinite(total) ? Math.floor(total / count) + (index < total % count ? 1 : 0) : total;
}

/** The load of that part. Arrivals keep their times: sharedOut() takes its own. */
export function loadPart(load: Load, share: WorkShare): Load {
  return load.kind === 'closed' ? { ...load, users: partOf(load.users, share) } : load;
}
