// What a client of the native protocol throws and rejects with. Owns nothing else. Used by client.ts and its parts.
import type { ErrorCode } from '../base/errors.ts';
import type { ErrorMessage } from './messages.ts';

/** `connection_closed`: the socket ended without a word from the server. */
export type NativeErrorCode = ErrorCode | 'connection_closed';

export class NativeError extends Error {
  override readonly name = 'NativeError';
  readonly code: NativeErrorCode;
  readonly retryable: boolean; // the same may succeed later
  readonly retryAfterMs: number | null;
  readonly param: string | null; // the field that was refused

  constructor(
    code: NativeErrorCode,
    message: string,
    more: { readonly retryable?: boolean; readonly retryAfterMs?: number; readonly param?: string } = {},
  ) {
    super(message);
    this.code = code;
    this.retryable = more.retryable ?? false;
    this.retryAfterMs = more.retryAfterMs ?? null;
    this.param = more.param ?? null;
  }

  static of({ code, message, retryable, retryAfterUs, param }: ErrorMessage): NativeError {
    return new NativeError(code, message, {
      retryable,
      ...(retryAfterUs !== undefined && { retryAfterMs: retryAfterUs / 1000 }),
      ...(param !== undefined && { param }),
    });
  }
}
