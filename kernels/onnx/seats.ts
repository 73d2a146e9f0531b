// Where the KV of a replica's seats is while it computes, as an interface, and the simple case of it: this machine's
// memory, where a run works in the seats themselves. The other case: device-seats.ts. Before it: device.ts; after it:
// kv-memory.ts.
import { type BlockPlace, type KvMemory, restoreBlock, saveBlock } from './kv-memory.ts';
import type { Run } from './row-groups.ts';
import type { DeviceMemory, TensorData } from './runtime.ts';

export interface Seats {
  readonly arrays: readonly (TensorData | DeviceMemory)[]; // [2 · layerCount] as in kv-memory.ts
  readonly bench: readonly DeviceMemory[]; // [2 · layerCount] of one seat; none where runs work in the seats
  /**
   * Before a run whose first seat's tokens begin at `position`: how many tokens the bench has room for that the run
   * works in; 0: in the seats themselves.
   */
  enter(run: Readonly<Run>, position: number): number;
  /** After it: what it has written is in its seats. */
  leave(run: Readonly<Run>, position: number): void;
  restore(place: BlockPlace): void;
  save(place: BlockPlace): void;
  release(): void;
}

export class HostSeats implements Seats {
  readonly arrays: KvMemory['seats'];
  readonly bench = [];
  readonly #memory: KvMemory;

  constructor(memory: KvMemory) {
    this.#memory = memory;
    this.arrays = memory.seats;
  }

  enter(): number {
    return 0;
  }

  leave(): void {}

  restore(place: BlockPlace): void {
    restoreBlock(this.#memory, place);
  }

  save(place: BlockPlace): void {
    saveBlock(this.#memory, place);
  }

  release(): void {}
}
