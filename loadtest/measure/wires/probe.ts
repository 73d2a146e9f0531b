// What a server says of itself before a run: is it there, what does it serve. One request over the wire of the run.
import { jsonValue } from '../../../server/base/json-text.ts';
import { field, textOr } from './answer.ts';
import type { HttpWire } from './wire.ts';

export interface ProbedServer {
  readonly model: string; // first of its models
  readonly owner: string; // "owned_by": sparklane, vllm, llamacpp, library…
}

const BODY_SIZE_MAX = 4 * 1024 * 1024; // characters; hubs list thousands of models

/** Rejects with a sentence a person can act on. `url` is for that sentence. */
export async function probeServer(
  wire: HttpWire,
  headers: Readonly<Record<string, string>>,
  url: string,
): Promise<ProbedServer> {
  const { status, text, failure } = await get(wire, headers, '/v1/models');
  if (failure !== null) throw new ProbeError(`no server answers at ${url}: ${failure}`);
  if (status === 401 || status === 403) {
    throw new ProbeError(`${url} answered ${status}: give --api-key, or --header`);
  }
  const models = field(jsonValue(text), 'data');
  const first: unknown = Array.isArray(models) ? models[0] : undefined;
  const model = textOr(field(first, 'id'), '');
  if (status !== 200 || model === '') {
    throw new ProbeError(`${url} answered ${status} without a model: give --model`);
  }
  return { model, owner: textOr(field(first, 'owned_by'), 'unknown') };
}

interface Whole {
  readonly status: number;
  readonly text: string;
  readonly failure: string | null; // in the system's words, null where there was an answer
}

type Headers = Readonly<Record<string, string>>;

/** One GET, whole. */
export function get(wire: HttpWire, headers: Headers, path: string): Promise<Whole> {
  return whole(wire, { method: 'GET', path, headers, body: '' });
}

/** One POST of JSON, whole. */
export function post(wire: HttpWire, headers: Headers, path: string, body: unknown): Promise<Whole> {
  const json = { 'content-type': 'application/json', ...headers };
  return whole(wire, { method: 'POST', path, headers: json, body: JSON.stringify(body) });
}

/** One POST of bytes, whole; `headers` say what they are. */
export function postBytes(wire: HttpWire, headers: Headers, path: string, body: Uint8Array): Promise<Whole> {
  return whole(wire, { method: 'POST', path, headers, body });
}

function whole(wire: HttpWire, request: Parameters<HttpWire['send']>[0]): Promise<Whole> {
  return new Promise((resolve) => {
    let status = 0;
    let text = '';
    const decoder = new TextDecoder();
    wire.send(request, {
      onSent: () => {},
      onHead: (code) => {
        status = code;
      },
      onData: (bytes) => {
        if (text.length < BODY_SIZE_MAX) text += decoder.decode(bytes, { stream: true });
      },
      onEnd: () => resolve({ status, text, failure: null }),
      onError: (kind, message) => resolve({ status, text, failure: message || kind }),
    });
  });
}

class ProbeError extends Error {
  override readonly name = 'ProbeError';
}
