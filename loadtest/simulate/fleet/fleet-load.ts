// FleetLoad: a recorded load for many nodes: as many sessions at once as they are to carry, each a recorded one under a name of
// its own, the first ones found somewhere in their middle. Before it: fleet.ts.
import { Random } from '../../../kernels/random.ts';
import type { SimLoad, SimTurn } from '../load.ts';

/** One session: its turns in order. */
export interface FleetSession {
  readonly id: number;
  readonly turns: readonly SimTurn[];
  readonly from: number; // turn that it begins with
}

export interface FleetSessions {
  readonly label: string;
  /** Those that are there at the beginning. */
  first(count: number): FleetSession[];
  /** One that comes when another has ended. */
  next(): FleetSession;
}

const recordedMax = 10_000;

/** `gapMaxMs`: longer pauses are cut to it, so that a short run sees all sessions at work. */
export function fleetSessions(load: SimLoad, seed: number, gapMaxMs: number): FleetSessions {
  const recorded: SimTurn[][] = [];
  const clients = load.clients();
  for (let next = clients.next(); !next.done && recorded.length < recordedMax; next = clients.next()) {
    const turns: SimTurn[] = [];
    const { turns: iterator } = next.value;
    for (let turn = iterator.next(); !turn.done; turn = iterator.next()) {
      turns.push({ ...turn.value, gapMs: Math.min(gapMaxMs, turn.value.gapMs) });
    }
    if (turns.length > 0) recorded.push(turns);
  }
  if (recorded.length === 0) throw new RangeError('the load has no turns');
  const random = new Random(seed);
  let id = 0;
  const drawn = (): readonly SimTurn[] => recorded[random.integer(0, recorded.length - 1)]!;
  return {
    label: `${recorded.length} recorded sessions, drawn again and again`,
    first: (count) =>
      Array.from({ length: count }, () => {
        const turns = drawn();
        return { id: id++, turns, from: random.integer(0, turns.length - 1) };
      }),
    next: () => ({ id: id++, turns: drawn(), from: 0 }),
  };
}
