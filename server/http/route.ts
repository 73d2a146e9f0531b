// Route: an entry of the table of routes, and the short ways to write one. Before it: whoever has routes; after it: door.ts, which
// looks them up, and openapi.ts, which tells of them.
import type { z } from 'zod';
import type { Fault } from '../base/errors.ts';
import type { HttpRequest } from '../listeners/transport.ts';
import type { HttpCall } from './http-call.ts';

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string; // a pattern of path-pattern.ts
  readonly open: boolean; // answers anybody, without a key: health only
  readonly onlyFor?: (request: HttpRequest) => boolean; // goes before others of the path, for these requests alone
  readonly about: RouteDescription;
  readonly admin?: boolean; // changes the server: takes the admin key
  readonly whenFull?: boolean; // answers also while all connections are taken, as what is open does
  readonly errorBody?: (refused: Fault, id: string) => unknown; // of another API's shape than OpenAI's
  readonly errorStatus?: (refused: Fault) => number; // where that API has other ones
  readonly errorEvent?: string; // name of the event that an error is in a stream whose events have names
  readonly idHeader?: string; // what that API calls x-request-id, which is sent as well
  readonly answer: (call: HttpCall) => void;
}

/** What a route says of itself, for GET /openapi.json. */
export interface RouteDescription {
  readonly group: string; // the dialect, or what it is about
  readonly summary: string; // a line
  readonly body?: z.ZodType; // of the request: the schema that it is checked by
  readonly query?: Readonly<Record<string, string>>; // parameters, with what they mean
  /** JSON unless said; 'events' and 'lines' are JSON, or a stream of it where the request asks for one. */
  readonly answers?: 'events' | 'lines' | 'text';
}

/** What stands in a table beside path and answer: a line, or with it what else there is to know. */
type Facts = string | (Omit<RouteDescription, 'group'> & Partial<Pick<Route, 'open' | 'admin' | 'whenFull'>>);

/** Entries of one group. They want a key unless they are `open`. */
export function routesIn(group: string) {
  const entry =
    (method: Route['method']) =>
    (path: string, facts: Facts, answer: Route['answer']): Route => {
      const told = typeof facts === 'string' ? { summary: facts } : facts;
      const { open = false, admin = false, whenFull = false, ...about } = told;
      return { method, path, open, admin, whenFull, about: { group, ...about }, answer };
    };
  const post = entry('POST');
  return {
    get: entry('GET'),
    post,
    remove: entry('DELETE'),
    /** A POST whose body is read and checked before it is answered. */
    posted: <Body>(
      path: string,
      facts: Exclude<Facts, string> & { readonly body: z.ZodType<Body> },
      answer: (call: HttpCall, body: Body) => void,
    ): Route => post(path, facts, (call) => call.readJson(facts.body, (body) => answer(call, body))),
  };
}
