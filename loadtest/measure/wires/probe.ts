// What a server says of itself before a run: is it there, what does it serve. One request, by undici.
import { request } from 'undici';
import { field, textOr } from './answer.ts';

export interface ServerFacts {
  readonly model: string; // first of its models
  readonly owner: string; // "owned_by": sparklane, vllm, llamacpp, library…
}

const PROBE_TIMEOUT_MS = 10_000;

/** Rejects with a sentence a person can act on. */
export async function probeServer(address: string, apiKey: string | null): Promise<ServerFacts> {
  const url = new URL('/v1/models', new URL(address).origin.replace(/^ws/, 'http'));
  let status: number;
  let body: unknown;
  try {
    const answer = await request(url, {
      headers: apiKey === null ? {} : { authorization: `Bearer ${apiKey}` },
      headersTimeout: PROBE_TIMEOUT_MS,
      bodyTimeout: PROBE_TIMEOUT_MS,
    });
    status = answer.statusCode;
    body = await answer.body.json().catch(() => null);
  } catch (error) {
    throw new ProbeError(`no server answers at ${url.href}: ${describe(error as Error)}`);
  }
  if (status === 401) throw new ProbeError(`${url.href} wants a key: give --api-key`);
  const models = field(body, 'data');
  const first: unknown = Array.isArray(models) ? models[0] : undefined;
  const model = textOr(field(first, 'id'), '');
  if (status !== 200 || model === '')
    throw new ProbeError(`${url.href} answered ${status} without a model: give --model`);
  return { model, owner: textOr(field(first, 'owned_by'), 'unknown') };
}

class ProbeError extends Error {
  override readonly name = 'ProbeError';
}

function describe(error: Error & { code?: string }): string {
  return error.message || error.code || error.name;
}
