// Requests to the hub: follows its redirects, notices silence, asks again where that may help. Owns who may see the
// token: the hub alone. Knows no meaning. Before it: hub-listing.ts and blob.ts; after it: undici-fetch.ts.
import type { Clock } from '../../kernels/clock.ts';
import { packageVersion } from '../base/package-version.ts';
import { HubError, refusalError } from './hub-error.ts';
import type { HubReference } from './reference.ts';
import type { HubSettings } from './settings.ts';

export interface HubAnswer {
  readonly status: number;
  /** Of a lower-case name. */
  readonly header: (name: string) => string | null;
  readonly body: AsyncIterable<Uint8Array>;
  /** Closes the body unread. */
  readonly discard: () => void;
}

interface HubRequest {
  readonly method: 'GET' | 'HEAD';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** One request, no redirects followed. Rejects when there is no connection. */
export type HubFetch = (request: HubRequest) => Promise<HubAnswer>;

export interface HubParts {
  readonly settings: HubSettings;
  readonly fetch: HubFetch;
  readonly clock: Clock;
  readonly epochMs: () => number;
  readonly note: (text: string) => void; // a sentence for the person who waits
  readonly signal: AbortSignal; // the person has had enough
}

export interface HubQuestion {
  readonly method: 'GET' | 'HEAD';
  readonly url: string; // at the endpoint
  readonly headers: Readonly<Record<string, string>>;
  readonly what: string; // for people: 'OWNER/NAME', 'FILE of OWNER/NAME'
  readonly welcome: readonly number[]; // statuses beside 2xx that are an answer
  readonly headOnly: boolean; // what the hub itself says is the answer: no redirect to storage is followed
}

const REDIRECTS_MAX = 5;
const SILENCE_MS = 30_000;
const ATTEMPTS_MAX = 6; // in a row without a byte of progress
const UNREACHABLE_MAX = 2; // before anything has been heard: a wrong address does not mend itself
const BACKOFF_MS = 1000; // doubled each time
const RETRY_AFTER_MAX_MS = 120_000; // longer waits are for the person to decide on

export class HubClient {
  readonly parts: HubParts;
  readonly reference: HubReference;
  readonly #origin: string; // of the endpoint
  #heard = false;

  constructor(parts: HubParts, reference: HubReference) {
    this.parts = parts;
    this.reference = reference;
    this.#origin = new URL(parts.settings.endpoint).origin;
  }

  /** The answer after all redirects. Rejects with HubError, also while the body is read. */
  async ask(question: HubQuestion): Promise<HubAnswer> {
    let at = question.url;
    for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
      const answer = await this.#request(question, at);
      const location = answer.status >= 300 && answer.status < 400 ? answer.header('location') : null;
      if (location === null) return this.#checked(answer, question, at);
      const next = this.#nextHop(at, location);
      // The hub says what a file is; the storage that it sends us to, wherever that is, knows only bytes.
      const isSaid = answer.header('x-linked-etag') !== null || new URL(next).origin !== this.#origin;
      if (question.headOnly && isSaid) return answer;
      answer.discard();
      at = next;
    }
    throw new HubError('answer', `more than ${REDIRECTS_MAX} redirects when asked for ${question.what}`);
  }

  /** Tries again while that may help. `progress` grows when something came of the last time. */
  async persist<T>(attempt: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
    const { note, signal } = this.parts;
    let failures = 0;
    for (;;) {
      const before = progress();
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof HubError) || !error.retryable || signal.aborted) throw error;
        failures = progress() > before ? 1 : failures + 1;
        const hopeless = error.code === 'unreachable' && !this.#heard && failures >= UNREACHABLE_MAX;
        const waitMs = error.retryAfterMs ?? BACKOFF_MS * 2 ** (failures - 1);
        if (hopeless || failures >= ATTEMPTS_MAX || waitMs > RETRY_AFTER_MAX_MS) throw error;
        note(`${error.message}; trying again in ${Math.ceil(waitMs / 1000)} s`);
        await this.pause(waitMs);
      }
    }
  }

  /** Rejects with HubError when the person has had enough. */
  pause(delayMs: number): Promise<void> {
    const { clock, signal } = this.parts;
    return new Promise((resolve, reject) => {
      const stop = () => {
        timer.cancel();
        reject(stopped());
      };
      const timer = clock.schedule(delayMs, () => {
        signal.removeEventListener('abort', stop);
        resolve();
      });
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
  }

  async #request({ method, headers }: HubQuestion, url: string): Promise<HubAnswer> {
    const { settings, fetch } = this.parts;
    const { token } = settings;
    const watch = new SilenceWatch(this.parts, url);
    const isHub = new URL(url).origin === this.#origin;
    const sent = {
      ...headers,
      'user-agent': `sparklane/${packageVersion()}`,
      ...(isHub && token !== null && { authorization: `Bearer ${token}` }),
    };
    const answer = await watch.within(
      () => fetch({ method, url, headers: sent, signal: watch.signal }),
      true,
    );
    this.#heard = true;
    return { ...answer, body: watch.body(answer.body) };
  }

  #checked(answer: HubAnswer, { what, welcome }: HubQuestion, url: string): HubAnswer {
    const { status, header } = answer;
    if ((status >= 200 && status < 300) || welcome.includes(status)) return answer;
    answer.discard();
    const { settings, epochMs } = this.parts;
    throw refusalError({
      ...{ status, header, url, what },
      ...{ id: this.reference.id, revision: this.reference.revision, endpoint: settings.endpoint },
      fromHub: new URL(url).origin === this.#origin,
      hasToken: settings.token !== null,
      epochMs: epochMs(),
    });
  }

  #nextHop(at: string, location: string): string {
    const next = URL.canParse(location, at) ? new URL(location, at) : null;
    const isWeb = next !== null && ['http:', 'https:'].includes(next.protocol);
    if (isWeb && !(at.startsWith('https:') && next.protocol === 'http:')) return next.href;
    throw new HubError('answer', `${new URL(at).host} sends us on to ${location}, which is not followed`);
  }
}

/** Ends a request of which nothing is heard. Its time runs while we wait for the other side, not while it waits. */
class SilenceWatch {
  readonly #parts: HubParts;
  readonly #host: string;
  readonly #ending = new AbortController();
  #silent = false;

  constructor(parts: HubParts, url: string) {
    this.#parts = parts;
    this.#host = new URL(url).host;
  }

  get signal(): AbortSignal {
    return AbortSignal.any([this.#parts.signal, this.#ending.signal]);
  }

  async within<T>(wait: () => Promise<T>, connecting: boolean): Promise<T> {
    const timer = this.#parts.clock.schedule(SILENCE_MS, () => {
      this.#silent = true;
      this.#ending.abort();
    });
    try {
      return await wait();
    } catch (error) {
      throw this.#errorOf(error, connecting);
    } finally {
      timer.cancel();
    }
  }

  async *body(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const pieces = body[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await this.within(() => pieces.next(), false);
        if (done) return;
        yield value;
      }
    } finally {
      await pieces.return?.().catch(() => {}); // whatever went wrong has been told
    }
  }

  #errorOf(cause: unknown, connecting: boolean): HubError {
    if (this.#parts.signal.aborted) return stopped();
    const retryable = true;
    if (this.#silent) {
      const text = `nothing has been heard of ${this.#host} for ${SILENCE_MS / 1000} s`;
      return new HubError('network', text, { retryable, cause });
    }
    const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
    return connecting
      ? new HubError('unreachable', `no connection to ${this.#host}: ${reason}`, { retryable, cause })
      : new HubError('network', `the connection to ${this.#host} broke: ${reason}`, { retryable, cause });
  }
}

function stopped(): HubError {
  return new HubError('stopped', 'stopped; what has arrived is kept, and the next pull goes on from there');
}
