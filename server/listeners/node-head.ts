// Heads of requests and raw answers as node:http has them. Owns the copy of a request, the answer to a head that never
// becomes a request, and the way back for an upgrade that is not to a WebSocket. Used by node-listener.ts.
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../../kernels/clock.ts';
import { ERRORS, errorEnvelope, type Fault, fault } from '../base/errors.ts';
import { headAnswerHeaders } from './request-head.ts';
import type { HttpRequest } from './transport.ts';

// What a refused peer still sends is read and dropped for so long, so that it gets to the answer: a close under unread
// bytes resets the connection.
const LINGER_MS = 1000;
const LINGER_SIZE_MAX = 4 * 2 ** 20; // bytes

/** Repeated headers come joined by commas, in any case of their names. */
export function nodeRequest(message: IncomingMessage): HttpRequest {
  const headers = new Map<string, string>();
  const { rawHeaders } = message;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? rawHeaders[i + 1]! : `${earlier}, ${rawHeaders[i + 1]}`);
  }
  const target = (message.url ?? '/').replace(/^https?:\/\/[^/?]*/i, '') || '/'; // a proxy's form (RFC 9112, 3.2.2)
  const query = target.indexOf('?');
  return {
    method: (message.method ?? '').toUpperCase(),
    path: query < 0 ? target : target.slice(0, query),
    query: query < 0 ? '' : target.slice(query + 1),
    header: (name) => headers.get(name) ?? '',
    remoteAddress: message.socket.remoteAddress ?? '',
  };
}

/** RFC 9110, 2.5: the parser takes 0.9 and 2.0 as well, neither of which has a request like this. */
export function versionFault({ httpVersion, httpVersionMajor }: IncomingMessage): Fault | null {
  if (httpVersionMajor === 1) return null;
  return fault('unsupported_http', `HTTP/${httpVersion} is not spoken here, HTTP/1.1 and 1.0 are`);
}

/** RFC 9112, 3.2: one Host, which HTTP/1.0 may leave out. */
export function hostFault({ httpVersion }: IncomingMessage, { header }: HttpRequest): Fault | null {
  const host = header('host');
  if (host.includes(',')) return fault('invalid_request', 'host: must be given once');
  if (host !== '' || httpVersion !== '1.1') return null;
  return fault('invalid_request', 'host: must be given');
}

/** What node:http says of bytes that are no request, in this server's words; null: the peer has gone. */
export function headFault(error: NodeJS.ErrnoException, headerSizeMax: number): Fault | null {
  switch (error.code) {
    case 'ECONNRESET':
    case 'EPIPE':
      return null;
    case 'HPE_HEADER_OVERFLOW':
      return fault('head_too_large', `the head is larger than ${headerSizeMax} bytes (--header-size)`);
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return fault('body_too_large', 'the extensions of a chunk are too large');
    case 'HPE_INVALID_TRANSFER_ENCODING':
      if (/content-length/i.test(error.message)) break;
      return fault('unsupported_coding', 'transfer-encoding: only chunked is known');
    case 'HPE_UNEXPECTED_CONTENT_LENGTH':
      return fault('invalid_request', 'content-length: must be one number');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return fault('request_timeout', 'the request did not come to its end');
  }
  const reason = error.message.replace(/^Parse Error: /, '');
  return fault('invalid_request', `not a request of HTTP/1.1: ${reason}`);
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function rawAnswerOf(refused: Fault): RawAnswer {
  const body = JSON.stringify(errorEnvelope(refused));
  return { status: ERRORS[refused.code].status, headers: headAnswerHeaders(refused), body };
}

/** Answers on the socket itself and closes it: nothing that comes behind is heard. */
export function answerRaw(socket: Socket, { status, headers, body }: RawAnswer, clock: Clock): void {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Status'}`];
  for (const name in headers) lines.push(`${name}: ${headers[name]}`);
  lines.push('connection: close', `content-length: ${Buffer.byteLength(body)}`, '', body);
  socket.removeAllListeners('data');
  let size = 0;
  socket.on('error', () => {}); // a reset is an end, too
  socket.on('data', (piece: Buffer) => {
    size += piece.length;
    if (size > LINGER_SIZE_MAX) socket.destroy();
  });
  const timer = clock.schedule(LINGER_MS, () => socket.destroy());
  socket.on('close', () => timer.cancel());
  socket.on('end', () => socket.destroySoon());
  socket.end(lines.join('\r\n'));
  socket.resume();
}

/** Puts the head back in front of what follows, without the wish to speak another protocol. */
export function withoutUpgrade(message: IncomingMessage, rest: Buffer): Buffer {
  const lines = [`${message.method} ${message.url} HTTP/${message.httpVersion}`];
  const { rawHeaders } = message;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (/^(connection|upgrade)$/i.test(rawHeaders[i]!)) continue;
    lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  }
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), rest]);
}
