// What a server says of itself before a run: is it there, what does it serve. One request over the wire of the run.
import { field, textOr } from './answer.ts';
import type { HttpWire } from './wire.ts';

export interface ServerFacts {
  readonly model: string; // first of its models
  readonly owner: string; // "owned_by": sparklane, vllm, llamacpp, library…
}

const BODY_SIZE_MAX = 4 * 1024 * 1024; // characters; hubs list thousands of models

/** Rejects with a sentence a person can act on. `url` is for that sentence. */
export async function probeServer(
  wire: HttpWire,
  headers: Readonly<Record<string, string>>,
  url: string,
): Promise<ServerFacts> {
  const { status, text, failure } = await get(wire, headers, '/v1/models');
  if (failure !== null) throw new ProbeError(`no server answers at ${url}: ${failure}`);
  if (status === 401 || status === 403) {
    throw new ProbeError(`${url} answered ${status}: give --api-key, or --header`);
  }
  const models = field(parsed(text), 'data');
  const first: unknown = Array.isArray(models) ? models[0] : undefined;
  const model = textOr(field(first, 'id'), '');
  if (status !== 200 || model === '') {
    throw new ProbeError(`${url} answered ${status} without a model: give --model`);
  }
  return { model, owner: textOr(field(first, 'owned_by'), 'unknown') };
}

/** One GET, whole. `failure`: in the system's words, null where there was an answer. */
export function get(
  wire: HttpWire,
  headers: Readonly<Record<string, string>>,
  path: string,
): Promise<{ readonly status: number; readonly text: string; readonly failure: string | null }> {
  return new Promise((resolve) => {
    let status = 0;
    let text = '';
    const decoder = new TextDecoder();
    wire.send(
      { method: 'GET', path, headers, body: '' },
      {
        onSent: () => {},
        onHead: (code) => {
          status = code;
        },
        onData: (bytes) => {
          if (text.length < BODY_SIZE_MAX) text += decoder.decode(bytes, { stream: true });
        },
        onEnd: () => resolve({ status, text, failure: null }),
        onError: (kind, message) => resolve({ status, text, failure: message || kind }),
      },
    );
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

class ProbeError extends Error {
  override readonly name = 'ProbeError';
}
