// Requests of any method handed on as they are, headers and all, on undici: for a recorder that stands in between.
import { Agent, ProxyAgent, request } from 'undici';
import type { ServerAddress } from './address.ts';
import { type Connection, tlsOptions } from './connection.ts';

export interface ForwardedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface ForwardedAnswer {
  onHead(status: number, headers: Readonly<Record<string, string | readonly string[]>>): void;
  onData(bytes: Uint8Array): void;
  onEnd(): void;
  onError(message: string): void;
}

export function undiciForward(address: ServerAddress, connection: Connection) {
  const tls = tlsOptions(connection);
  const common = { headersTimeout: 0, bodyTimeout: 0 };
  const dispatcher =
    connection.proxy === null
      ? new Agent({ ...common, connect: tls })
      : new ProxyAgent({ ...common, uri: connection.proxy, requestTls: tls });
  return ({ method, path, headers, body }: ForwardedRequest, answer: ForwardedAnswer): { abort(): void } => {
    const gone = new AbortController();
    const options = {
      ...{ dispatcher, method: method as 'POST', headers, signal: gone.signal },
      ...(body.length > 0 && { body }),
    };
    request(new URL(address.pathOf(path), address.origin), options).then(
      (given) => {
        answer.onHead(given.statusCode, given.headers as Record<string, string | string[]>);
        given.body.on('data', (bytes: Buffer) => answer.onData(bytes));
        given.body.on('end', () => answer.onEnd());
        given.body.on('error', (error: Error) => answer.onError(error.message));
      },
      (error: Error) => answer.onError(error.message),
    );
    return { abort: () => gone.abort() };
  };
}
