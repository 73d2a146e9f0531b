// Which listener serves: uWebSockets.js where one of its binaries loads, else node:http and ws, which every Node has. Owns
// the choice and the line in the log that says what it costs. Used by cli/local-server.ts and tests.
import type { Clock } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import { Listener } from './listener.ts';
import { NodeListener } from './node-listener.ts';
import type { Transport, TransportBounds } from './transport.ts';
import { loadUws } from './uws-binary.ts';

export interface ListenerChoice extends TransportBounds {
  readonly listener: 'auto' | 'uws' | 'node';
}

/** Rejects where uWebSockets.js is asked for and none of its binaries loads. */
export async function openListener(
  choice: ListenerChoice,
  host: { readonly clock: Clock; readonly env: Record<string, string | undefined>; readonly log: Log },
): Promise<Transport> {
  const { clock, env, log } = host;
  if (choice.listener === 'node') return new NodeListener(choice, clock);
  const binary = await loadUws(choice.headerSizeMax, env);
  if (binary.native !== null) {
    log.debug('listener', { package: binary.package });
    return new Listener(binary.native, choice, (fn) => clock.defer(fn));
  }
  const here = `Node ${process.versions.node} on ${process.platform}, ${process.arch}`;
  const { reasons } = binary;
  if (choice.listener === 'uws') {
    throw new Error(`no binary of uWebSockets.js loads in ${here}: ${reasons.join('; ')}`);
  }
  log.warn(
    `no binary of uWebSockets.js loads in ${here}: serving through node:http and ws, at about a quarter more of this process's time for each piece of a stream (PERFORMANCE.md)`,
    { reasons },
  );
  return new NodeListener(choice, clock);
}
