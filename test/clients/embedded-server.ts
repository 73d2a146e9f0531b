// The server as `sparklane serve` starts it, with the embedded model on the CPU, in this process.
import { WallClock } from '../../kernels/clock.ts';
import { type LocalServer, startLocalServer } from '../../server/cli/local-server.ts';
import { loadConfig } from '../../server/config/config.ts';
import { servedEnv } from '../served-env.ts';

export function startEmbeddedServer(given: Readonly<Record<string, unknown>> = {}): Promise<LocalServer> {
  // Answers of a small model may go on for ever; every request of Codex ends in reasonable time here.
  const fixed = { model: 'spark-nano', port: 0, logLevel: 'warn', requestTimeoutMs: 60_000, seed: 1 };
  const flags = { ...fixed, ...given };
  const terminal = {
    screen: null,
    write: () => {},
    note: () => {},
    readLine: async () => null,
    readAll: async () => '',
    onInterrupt: () => () => {},
    onTerminate: () => () => {},
  };
  const config = loadConfig({ flags, env: { ...servedEnv, HOME: process.env['HOME'] } });
  return startLocalServer(config, { terminal, env: {}, clock: new WallClock(), epochMs: () => Date.now() });
}
