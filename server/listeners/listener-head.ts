// Heads of requests and answers as uWebSockets.js has them. Owns the copy of a request, and the answer to a head that is
// refused before anybody hears of it. Used by listener.ts and listener-socket.ts.

import { STATUS_CODES } from 'node:http';
import { ERRORS, errorEnvelope, type Fault } from '../base/errors.ts';
import { headAnswerHeaders } from './request-head.ts';
import type { HttpRequest } from './transport.ts';
import type { uws } from './uws-binary.ts';

/** Calls back once the events of now are through: Clock.defer. */
export type Defer = (fn: () => void) => void;

/** The request lives on the stack of uWebSockets.js; everything that may be asked later is copied now. */
export function uwsRequest(res: uws.HttpResponse, req: uws.HttpRequest): HttpRequest {
  const headers = new Map<string, string>();
  req.forEach((name, value) => {
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  });
  return {
    method: req.getCaseSensitiveMethod().toUpperCase(),
    path: req.getUrl(),
    query: req.getQuery(),
    header: (name) => headers.get(name) ?? '',
    remoteAddress: Buffer.from(res.getRemoteAddressAsText()).toString(),
  };
}

export function writeHead(
  res: uws.HttpResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
): void {
  res.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Status'}`);
  for (const name in headers) res.writeHeader(name, headers[name]!);
}

/**
 * Answers a head that cannot be trusted, and closes: where the next request would begin is not known. Later, because
 * uWebSockets.js would take what came in the same packet for that next request; while one waits it closes instead.
 */
export function refuseHead(res: uws.HttpResponse, refused: Fault, defer: Defer): void {
  let gone = false;
  res.onAborted(() => {
    gone = true;
  });
  defer(() => {
    if (gone) return;
    res.cork(() => {
      writeHead(res, ERRORS[refused.code].status, headAnswerHeaders(refused));
      res.end(JSON.stringify(errorEnvelope(refused)), true);
    });
  });
}
