// PrefixIndex: what a router knows of the blocks that nodes have cached, from their KV events, which come late. Blocks are told by
// the hash of all tokens up to their end, as events do. Before it: router.ts.
import type { Clock } from '../../../kernels/clock.ts';
import { pathHash } from '../../../server/engine/evicted-paths.ts';
import { type BlockWatch, blockKey } from '../../../server/engine/prefix-cache.ts';

interface BlockEvent {
  readonly path: number;
  readonly stored: boolean;
}

export class PrefixIndex {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #known: Set<number>[]; // [node]
  #eventCount = 0;

  /** `delayMs`: from a block's being cached to the router's knowing it. */
  constructor(nodeCount: number, clock: Clock, delayMs: number) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#known = Array.from({ length: nodeCount }, () => new Set());
  }

  /** Blocks that nodes have told of. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /** What a node's engine tells, batch by batch. */
  watch(node: number): BlockWatch {
    const known = this.#known[node]!;
    let batch: BlockEvent[] | null = null; // on its way
    const tell = (event: BlockEvent): void => {
      if (batch !== null) {
        batch.push(event);
        return;
      }
      const sent = [event];
      batch = sent;
      this.#clock.schedule(this.#delayMs, () => {
        if (batch !== sent) return; // all has been cleared since
        batch = null;
        this.#eventCount += sent.length;
        for (const { path, stored } of sent) {
          if (stored) known.add(path);
          else known.delete(path);
        }
      });
    };
    return {
      onStored: ({ path }) => tell({ path, stored: true }),
      onForgotten: ({ path }) => tell({ path, stored: false }),
      onCleared: () => {
        batch = null;
        known.clear();
      },
    };
  }

  /** Leading blocks that the node is known to have. */
  matched(node: number, paths: readonly number[]): number {
    const known = this.#known[node]!;
    let count = 0;
    while (count < paths.length && known.has(paths[count]!)) count++;
    return count;
  }
}

/** The hash of each whole block of a prompt, and all before it. */
export function pathsOf(tokens: Int32Array, salt: string, blockSize: number): number[] {
  const paths: number[] = [];
  let path = pathHash(0, salt);
  for (let start = 0; start + blockSize <= tokens.length; start += blockSize) {
    path = pathHash(path, blockKey(tokens, start, blockSize));
    paths.push(path);
  }
  return paths;
}
