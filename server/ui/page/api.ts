// Calls to the server that the page came from: the key of this tab, bodies, refusals as they were worded. Before it: the panes;
// after it: the server's routes.
import type { Browser } from './browser.ts';

const KEY_NAME = 'sparklane.key';

/** A refusal, with the server's own words; `status` 0: nobody answered. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface CallOptions {
  readonly body?: unknown; // makes it a POST
  readonly signal?: AbortSignal;
  readonly key?: string; // instead of the tab's
}

export class Api {
  readonly #browser: Pick<Browser, 'base' | 'fetch' | 'tabStore'>;
  /** Called when the server wants a key, or another one. */
  onKeyWanted: () => void = () => {};

  constructor(browser: Pick<Browser, 'base' | 'fetch' | 'tabStore'>) {
    this.#browser = browser;
  }

  get key(): string {
    return this.#browser.tabStore.getItem(KEY_NAME) ?? '';
  }

  set key(key: string) {
    if (key === '') this.#browser.tabStore.removeItem(KEY_NAME);
    else this.#browser.tabStore.setItem(KEY_NAME, key);
  }

  /** The answer as it comes. Throws ApiError. */
  async open(path: string, { body, signal, key = this.key }: CallOptions = {}): Promise<Response> {
    const { base, fetch } = this.#browser;
    const headers: Record<string, string> = {};
    if (key !== '') headers['authorization'] = `Bearer ${key}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const init: RequestInit = { headers, method: body === undefined ? 'GET' : 'POST' };
    if (body !== undefined) init.body = JSON.stringify(body);
    if (signal !== undefined) init.signal = signal;
    const response = await fetch(new URL(path, base), init).catch((error: unknown) => {
      if (signal?.aborted) throw error;
      throw new ApiError(0, 'unreachable', 'the server does not answer');
    });
    if (response.ok) return response;
    if (response.status === 401) this.onKeyWanted();
    throw await refusalOf(response);
  }

  async json<T>(path: string, options: CallOptions = {}): Promise<T> {
    const response = await this.open(path, options);
    return (await response.json()) as T;
  }
}

/** What a thrown thing says to people. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function refusalOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  try {
    const { error } = JSON.parse(text) as { error: { message?: string; code?: string } };
    return new ApiError(response.status, error.code ?? '', error.message ?? text);
  } catch {
    return new ApiError(response.status, '', text === '' ? `status ${response.status}` : text.slice(0, 300));
  }
}
