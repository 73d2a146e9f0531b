// Two servers of the Responses API in virtual time, with one store between them. For tests of what nodes share.
import { VirtualClock } from '../kernels/clock.ts';
import { MemoryRecords } from './memory-records.ts';
import { type Json, type ResponsesServer, responsesServer } from './responses-world.ts';

export interface SharedWorld {
  readonly clock: VirtualClock;
  readonly store: { readonly responses: MemoryRecords; readonly conversations: MemoryRecords };
  readonly a: ResponsesServer;
  readonly b: ResponsesServer;
  /** The first node is cut off from the store, as by kill -9; what it does from then on nobody is to see. */
  cutA(): void;
  mendA(): void;
}

export async function sharedWorld({
  flags = {},
  say,
}: {
  readonly flags?: Json;
  readonly say: (prompt: string) => string;
}): Promise<SharedWorld> {
  const clock = new VirtualClock();
  const store = { responses: new MemoryRecords(clock), conversations: new MemoryRecords(clock) };
  const views = (name: string) => [
    store.responses.viewOf(name, clock),
    store.conversations.viewOf(name, clock),
  ];
  const [viewsOfA, viewsOfB] = [views('a'), views('b')];
  const node = async (name: string, [responses, conversations]: ReturnType<typeof views>) => {
    let count = 0;
    let seed = name === 'a' ? 1000 : 2000;
    const cluster = {
      ...{ responses: responses!.records, conversations: conversations!.records },
      repeats: { identity: 'bytes', freshSeed: () => ++seed },
    };
    return responsesServer({
      ...{ clock, flags, say },
      app: { freshId: () => `${name}.${++count}`, cluster },
    });
  };
  return {
    ...{ clock, store },
    a: await node('a', viewsOfA),
    b: await node('b', viewsOfB),
    cutA: () => {
      for (const view of viewsOfA) view.cut();
    },
    mendA: () => {
      for (const view of viewsOfA) view.mend();
    },
  };
}
