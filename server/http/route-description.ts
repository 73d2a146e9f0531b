// What a route says of itself, for GET /openapi.json (openapi.ts). Its body is the schema that requests are checked by.
import type { z } from 'zod';

export interface RouteDescription {
  readonly group: string; // the dialect, or what it is about
  readonly summary: string; // a line
  readonly body?: z.ZodType; // of the request
  readonly query?: Readonly<Record<string, string>>; // parameters, with what they mean
  /** JSON unless said; 'events' and 'lines' are JSON, or a stream of it where the request asks for one. */
  readonly answers?: 'events' | 'lines' | 'text';
}
