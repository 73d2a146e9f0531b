// The two listeners for tests over real sockets: the one that SPARKLANE_LISTENER names, or either by name.
import { env } from 'node:process';
import { WallClock } from '../kernels/clock.ts';
import { createLog } from '../server/base/log.ts';
import { type ListenerChoice, openListener } from '../server/listeners/open-listener.ts';
import type { Transport, TransportBounds } from '../server/listeners/transport.ts';
import { loadUws } from '../server/listeners/uws-binary.ts';

export type ListenerKind = 'uws' | 'node';

const log = createLog({ level: 'silent', write: () => {}, epochMs: () => 0 });

/** `kind` goes before the environment; without either, the one that a server would take. */
export function testListener(bounds: TransportBounds, kind?: ListenerKind): Promise<Transport> {
  const listener = kind ?? (env['SPARKLANE_LISTENER'] as ListenerChoice['listener'] | undefined) ?? 'auto';
  return openListener({ ...bounds, listener }, { clock: new WallClock(), env, log });
}

/** Those that this Node and this system have; says why where one is missing. */
export async function listenersHere(headerSizeMax: number): Promise<readonly ListenerKind[]> {
  const binary = await loadUws(headerSizeMax, env);
  if (binary.native !== null) return ['uws', 'node'];
  console.log(`skipped: the listener of uWebSockets.js: ${binary.reasons.join('; ')}`);
  return ['node'];
}
