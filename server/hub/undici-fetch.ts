// Requests over real sockets, on undici: one at a time per host is enough for a puller. Owns the connections and the
// proxy of the environment; follows no redirect (hub-client.ts does). Tests use it too, against a mirror on loopback.
import { EnvHttpProxyAgent, request } from 'undici';
import type { HubAnswer, HubFetch } from './hub-client.ts';

const CONNECT_TIMEOUT_MS = 30_000;

export interface UndiciFetch {
  readonly fetch: HubFetch;
  close(): Promise<void>;
}

export function undiciFetch(env: Readonly<Record<string, string | undefined>>): UndiciFetch {
  const of = (name: string) => env[name.toLowerCase()] || env[name.toUpperCase()] || '';
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: of('http_proxy'),
    httpsProxy: of('https_proxy') || of('all_proxy'),
    noProxy: of('no_proxy'),
    connect: { timeout: CONNECT_TIMEOUT_MS },
    headersTimeout: 0, // silence is hub-client.ts's to notice
    bodyTimeout: 0,
  });
  return {
    fetch: async ({ method, url, headers, signal }): Promise<HubAnswer> => {
      const {
        statusCode,
        headers: given,
        body,
      } = await request(url, { method, headers, signal, dispatcher });
      return {
        status: statusCode,
        header: (name) => {
          const value = given[name];
          return (Array.isArray(value) ? value[0] : value) ?? null;
        },
        body,
        discard: () => void body.on('error', () => {}).destroy(),
      };
    },
    close: () => dispatcher.destroy(),
  };
}
