// KvLinks: KV on its way from prefill nodes to decode nodes. A node's link carries one transfer at a time, out and in, so that
// transfers wait for each other at either end. Before it: fleet.ts.
import type { Clock } from '../../../kernels/clock.ts';

export class KvLinks {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  readonly #latencyMs: number;
  readonly #outFreeMs: Float64Array; // [node]
  readonly #inFreeMs: Float64Array; // [node]
  bytes = 0; // carried since the start
  waitedMs = 0; // for other transfers, all of them together

  constructor(
    nodeCount: number,
    clock: Clock,
    { gbPerSecond, latencyUs }: { readonly gbPerSecond: number; readonly latencyUs: number },
  ) {
    this.#clock = clock;
    this.#bytesPerMs = gbPerSecond * 1e6;
    this.#latencyMs = latencyUs / 1e3;
    this.#outFreeMs = new Float64Array(nodeCount);
    this.#inFreeMs = new Float64Array(nodeCount);
  }

  /** Calls `arrived` when the last byte is there. */
  send(from: number, to: number, bytes: number, arrived: () => void): void {
    const nowMs = this.#clock.nowMs();
    const startMs = Math.max(nowMs, this.#outFreeMs[from]!, this.#inFreeMs[to]!);
    const endMs = startMs + bytes / this.#bytesPerMs;
    this.#outFreeMs[from] = endMs;
    this.#inFreeMs[to] = endMs;
    this.bytes += bytes;
    this.waitedMs += startMs - nowMs;
    this.#clock.schedule(endMs + this.#latencyMs - nowMs, arrived);
  }
}
