// Why a schema, grammar or pattern of a request cannot be enforced: the one error of server/grammar and server/tools.
// The API routes turn it into a 400 (`invalid_request_error`) that names the place. Never a fault of the server.

export type GrammarErrorCode =
  | 'invalid' // not a schema, not a grammar, not a regular expression
  | 'unsupported' // well formed, but we cannot enforce it
  | 'too-large' // beyond a bound
  | 'unsatisfiable'; // no finite text matches

/** Where it is wrong: `path` is a JSON pointer into a schema or `line 3` of a grammar; `keyword` the culprit there. */
export interface GrammarPlace {
  readonly path: string;
  readonly keyword?: string;
}

export class GrammarError extends Error {
  override readonly name = 'GrammarError';
  readonly code: GrammarErrorCode;
  readonly path: string;
  readonly keyword: string | null;
  readonly detail: string; // the message without the place

  constructor(code: GrammarErrorCode, message: string, place: GrammarPlace) {
    const where = place.keyword === undefined ? place.path : `${place.path}: "${place.keyword}"`;
    super(`${where}: ${message}`);
    this.code = code;
    this.detail = message;
    this.path = place.path;
    this.keyword = place.keyword ?? null;
  }

  /** The same fault, its place seen from further out: `tools[2].parameters` before `#/properties/x`. */
  inside(outer: string): GrammarError {
    const path = `${outer}${this.path}`;
    return new GrammarError(
      this.code,
      this.detail,
      this.keyword === null ? { path } : { path, keyword: this.keyword },
    );
  }
}
