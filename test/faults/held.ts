// What may outlive requests, counted: blocks, sockets, sessions, stored responses, descriptors, memory after a collection.
// Used by mix.test.ts and soak.test.ts.
import { readdirSync } from 'node:fs';
import { getActiveResourcesInfo, memoryUsage } from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Arena } from './arena.ts';

export async function held(arena: Arena) {
  return {
    sockets: await arena.metric('sparklane_open_connections'),
    sessions: await arena.metric('sparklane_sessions'),
    inUse: await arena.metric('sparklane_kv_blocks{state="in_use"}'),
    waiting: await arena.metric('sparklane_sequences{state="waiting"}'),
    descriptors: descriptorCount(),
  };
}

/** Bytes and counts of this process, after everything that nobody holds has been collected. */
export async function heldByProcess(arena: Arena) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < 4; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve)); // finalizers
  }
  const { heapUsed, external, rss } = memoryUsage();
  return {
    heapSize: heapUsed,
    externalSize: external,
    residentSize: rss,
    kvSize:
      (await arena.metric('sparklane_kv_touched_blocks')) * (await arena.metric('sparklane_kv_block_bytes')),
    storedResponses: await arena.metric('sparklane_stored_responses'),
    storedSize: await arena.metric('sparklane_stored_response_bytes'),
    resources: getActiveResourcesInfo().filter((kind) => kind !== 'Timeout' && kind !== 'Immediate').length,
  };
}

/** Open files and sockets of this process; null where the system does not tell. */
function descriptorCount(): number | null {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return null;
  }
}
