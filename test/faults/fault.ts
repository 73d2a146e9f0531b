// What a fault is: something done to a running server that must cost nobody else anything, with its promise in one
// sentence. The tables of docs/faults.md are these sentences; faults.test.ts, mix.test.ts and soak.test.ts carry them out.
import type { Random } from '../../kernels/random.ts';
import type { Arena } from './arena.ts';

export interface Fault {
  readonly id: string; // family/name
  readonly does: string; // what is done, for the table
  readonly promise: string; // what happens then, for the table
  /** What happens to the background: nothing, or typed errors that may be sent again where the device itself fails. */
  readonly casualties?: 'none' | 'typed';
  readonly pace?: 'quick' | 'slow'; // slow ones wait for documented times or start processes: `make faults` only
  /** Carries it out and checks the promise; answers how many faults that were. */
  readonly inject: (arena: Arena, random: Random) => Promise<number>;
}

/** Faults that want the same server. */
export interface Family {
  readonly name: string; // as in the documents
  readonly flags?: Readonly<Record<string, unknown>>; // options of its server that differ from those of arena.ts
  readonly turns?: 1 | 2; // of the background's conversations, see background.ts
  readonly faults: readonly Fault[];
}
