// What a request's head has to be beyond what the socket library checks: one length, one coding, a whole handshake.
// Pure: headers → the fault of it, or null. Before it: listener.ts, which refuses and closes; after it: http/door.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { HttpRequest } from './transport.ts';

const WEBSOCKET_VERSION = '13'; // RFC 6455

/**
 * Where a body ends must not be open to two readings, else a proxy and this server may see different requests in the
 * same bytes (RFC 9112 sections 6.1 and 6.3). Repeated headers come joined by commas, so none of them passes.
 */
export function framingFault({ header }: Pick<HttpRequest, 'header'>): Fault | null {
  const length = header('content-length');
  if (length !== '' && !/^\d+$/.test(length)) {
    return fault('invalid_request', `content-length: must be one number, not ${JSON.stringify(length)}`);
  }
  const coding = header('transfer-encoding');
  if (coding === '' || coding.trim().toLowerCase() === 'chunked') return null;
  const message = `transfer-encoding: only chunked is known, not ${JSON.stringify(coding)}`;
  return fault('unsupported_coding', message);
}

/** Of a request that brings a Sec-WebSocket-Key. The answer to it names the version that is spoken. */
export function handshakeFault({ header }: Pick<HttpRequest, 'header'>): Fault | null {
  const version = header('sec-websocket-version');
  if (version !== WEBSOCKET_VERSION) {
    const message = `sec-websocket-version: only ${WEBSOCKET_VERSION} is spoken, not ${JSON.stringify(version)}`;
    return fault('upgrade_required', message);
  }
  if (!tokensOf(header('upgrade')).includes('websocket')) {
    return fault('upgrade_required', 'upgrade: must be websocket');
  }
  if (tokensOf(header('connection')).includes('upgrade')) return null;
  return fault('invalid_request', 'connection: must be Upgrade where a WebSocket is asked for');
}

/** Headers of the answer to a request with that fault. */
export function headAnswerHeaders(refused: Fault): Readonly<Record<string, string>> {
  const headers = { 'content-type': 'application/json' };
  if (refused.code !== 'upgrade_required') return headers;
  return { ...headers, upgrade: 'websocket', 'sec-websocket-version': WEBSOCKET_VERSION };
}

function tokensOf(list: string): readonly string[] {
  return list.split(',').map((token) => token.trim().toLowerCase());
}
