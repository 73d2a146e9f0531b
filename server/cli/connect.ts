// A native client for `chat`, `complete` and `sessions`: to a running server (--url), or to one started here for the purpose.
// Owns that temporary server's life and its key. Before it: program.ts; after it: client/client.ts.
import { randomBytes } from 'node:crypto';
import { packageVersion } from '../base/package-version.ts';
import { NativeClient } from '../client/client.ts';
import { webSocketTo } from '../client/web-socket.ts';
import type { Config } from '../config/config.ts';
import { startLocalServer } from './local-server.ts';
import { type Host, UsageError } from './terminal.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** `url` null starts a server on a free loopback port, which only this process has the key to, for as long as `use` takes. */
export async function withServer(
  url: string | null,
  config: Config,
  host: Host,
  use: (client: NativeClient) => Promise<void>,
): Promise<void> {
  if (url !== null) {
    await withClient(await clientTo(checkedUrl(url), config.apiKeys[0] ?? null, config), use);
    return;
  }
  host.terminal.note(`loading ${config.model} …\n`);
  const key = randomBytes(16).toString('base64url');
  const own = { ...config, host: '127.0.0.1', port: 0, apiKeys: [key], loopback: true };
  const server = await startLocalServer(Object.freeze(own), host);
  try {
    await withClient(await clientTo(server.url, key, config), use);
  } finally {
    await server.stop();
  }
}

async function withClient(client: NativeClient, use: (client: NativeClient) => Promise<void>): Promise<void> {
  try {
    await use(client);
  } finally {
    client.close();
  }
}

function clientTo(url: string, apiKey: string | null, { frameSizeMax }: Config): Promise<NativeClient> {
  const options = { apiKey, frameSizeMax, connectTimeoutMs: CONNECT_TIMEOUT_MS };
  return NativeClient.connect(webSocketTo(url, options), { client: `sparklane-cli/${packageVersion()}` });
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol)) {
    throw new UsageError(`--url ${text}: expected something like http://127.0.0.1:8080`);
  }
  return text;
}
