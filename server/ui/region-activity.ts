// How busy each region of a device was since the last look: a share of the time. Owns the last look. Used by live-hub.ts.
import type { Backend } from '../../kernels/backend.ts';

export class RegionActivity {
  #backend: Backend | null = null;
  #busyMs: number[] = [];
  #atMs = 0;

  /** [region] 0 to 1; null where the device has no regions, and at the first look. */
  sharesOf(backend: Backend, nowMs: number): readonly number[] | null {
    const busyMs = Array.from(backend.busyMs ?? []);
    const known = this.#backend === backend && nowMs > this.#atMs;
    const spanMs = nowMs - this.#atMs;
    const shares = busyMs.map((busy, region) => shareOf(busy - (this.#busyMs[region] ?? 0), spanMs));
    this.#backend = backend;
    this.#busyMs = busyMs;
    this.#atMs = nowMs;
    return known && busyMs.length > 0 ? shares : null;
  }
}

/** What has entered is counted to its end, so a look may see more work than time. */
function shareOf(busyMs: number, spanMs: number): number {
  return Math.round(1000 * Math.min(1, Math.max(0, busyMs / spanMs))) / 1000;
}
