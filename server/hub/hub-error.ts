// What can go wrong between a model's name and its files, in words for the person who asked. Owns the closed set of
// codes and what an HTTP status of the hub means. Used by every file of this folder.

export type HubErrorCode =
  | 'name' // not a model's name
  | 'setting' // an environment variable that cannot be used
  | 'missing' // no such model, revision or file
  | 'choice' // the model has no file of the kind asked for
  | 'token' // no token, or one that the hub refuses
  | 'gated' // its terms have to be accepted first
  | 'forbidden'
  | 'rate' // too many requests
  | 'server' // the hub's fault
  | 'unreachable' // no connection
  | 'network' // a broken or silent one
  | 'answer' // an answer that cannot be right
  | 'checksum'
  | 'unsafe' // a name that would leave the directory
  | 'offline'
  | 'disk'
  | 'locked'
  | 'stopped'; // by the caller

/** The message says what is wrong and what helps. */
export class HubError extends Error {
  override readonly name = 'HubError';
  readonly code: HubErrorCode;
  readonly retryable: boolean; // the same request may succeed in a moment
  readonly retryAfterMs: number | null; // as the server asks

  constructor(
    code: HubErrorCode,
    message: string,
    more: { retryable?: boolean; retryAfterMs?: number | null; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.code = code;
    this.retryable = more.retryable ?? false;
    this.retryAfterMs = more.retryAfterMs ?? null;
  }
}

/** An answer that is neither 2xx nor a redirect. */
export interface HubRefusal {
  readonly status: number;
  header(name: string): string | null;
  readonly url: string; // where it came from
  readonly fromHub: boolean; // or from the storage that it sent us to
  readonly what: string; // that was asked for: 'OWNER/NAME', or 'FILE of OWNER/NAME'
  readonly id: string;
  readonly revision: string;
  readonly endpoint: string;
  readonly hasToken: boolean;
  readonly epochMs: number; // now
}

/** Source of codes and statuses: the hub's X-Error-Code header, as huggingface_hub reads it. */
export function refusalError(refusal: HubRefusal): HubError {
  const { status, what, id, endpoint, fromHub } = refusal;
  const code = refusal.header('x-error-code');
  const host = hostOf(refusal.url);
  if (status === 429) {
    const retryAfterMs = retryAfter(refusal);
    const wait = retryAfterMs === null ? '' : `; it asks to wait ${Math.ceil(retryAfterMs / 1000)} s`;
    const help = refusal.hasToken ? '' : ' (HF_TOKEN raises the limit)';
    return new HubError('rate', `${host} has had too many requests${wait}${help} (429)`, {
      retryable: true,
      retryAfterMs,
    });
  }
  if (status >= 500 || status === 408) {
    return new HubError('server', `${host} fails (${status}) when asked for ${what}`, {
      retryable: true,
      retryAfterMs: retryAfter(refusal),
    });
  }
  // Storage is addressed by signed links, which expire: the hub gives a fresh one.
  if (!fromHub && (status === 401 || status === 403)) {
    return new HubError('forbidden', `${host} does not hand out ${what} (${status})`, { retryable: true });
  }
  if (code === 'GatedRepo') {
    const then = refusal.hasToken
      ? 'with the account that HF_TOKEN belongs to'
      : 'and set HF_TOKEN to a token of that account';
    return new HubError('gated', `${id} is gated: accept its terms at ${endpoint}/${id} ${then} (${status})`);
  }
  if (status === 401) return new HubError('token', unauthorisedText(refusal));
  if (status === 403) {
    const reason = refusal.header('x-error-message');
    const said = reason === null ? '' : `: ${reason}`;
    return new HubError('forbidden', `${host} does not hand out ${what} (403)${said}`);
  }
  if (code === 'RevisionNotFound') {
    return new HubError('missing', `${id} has no revision ${refusal.revision} at ${host} (${status})`);
  }
  if (status === 404 || status === 410) {
    return new HubError('missing', `there is no ${what} at ${host} (${status})`);
  }
  return new HubError('answer', `${host} answers ${status} when asked for ${what}`);
}

function unauthorisedText({ what, url, hasToken, header }: HubRefusal): string {
  const host = hostOf(url);
  // The hub hides what is private: to strangers it says the same of a model that does not exist.
  if (!hasToken) {
    return `there is no ${what} at ${host}, or it is private: then set HF_TOKEN to a token that may read it (401)`;
  }
  const invalid = /invalid/i.test(header('x-error-message') ?? '') || header('x-error-code') === null;
  return invalid
    ? `${host} refuses the token (HF_TOKEN, or the token file of Hugging Face's tools) (401)`
    : `there is no ${what} at ${host}, or the token in HF_TOKEN may not read it (401)`;
}

/** Retry-After in seconds or as a date, or the hub's RateLimit header (`"api";r=0;t=55`); null without any. */
function retryAfter({ header, epochMs }: HubRefusal): number | null {
  const value = header('retry-after')?.trim() ?? '';
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  if (!Number.isNaN(date)) return Math.max(0, date - epochMs);
  const reset = /;\s*t=(\d{1,9})/.exec(header('ratelimit') ?? '')?.[1];
  return reset === undefined ? null : Number(reset) * 1000;
}

function hostOf(url: string): string {
  return new URL(url).host;
}
