// A stored response as bytes, for a store that nodes share: JSON, compressed where it is long, because events repeat themselves.
// Owns the form only. Before it: shared-responses.ts; after it: cluster/shared-records.ts.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { EventLog, type KeptEvents } from './event-log.ts';
import type { Item } from './items.ts';
import type { OpenResponse } from './open-response.ts';
import type { ResponseObject } from './response-object.ts';
import type { StoredResponse } from './store.ts';

export interface ResponseRecord {
  readonly input: readonly Item[];
  readonly history: readonly Item[];
  readonly response: ResponseObject; // as it stood
  readonly output: readonly Item[];
  readonly log: KeptEvents | null;
  readonly open: OpenResponse | null; // null: it is complete
}

const FORM = 1; // another one is another version's
const PLAIN = 0;
const COMPRESSED = 1;
const PLAIN_SIZE_MAX = 4096; // bytes
const LEVEL = 1; // 2 ms for a megabyte of events, which becomes a twentieth
const WHOLE_SIZE_MAX = 2 ** 30; // bytes, however little they were

/** Form, way, JSON. */
export function responseBytes(record: ResponseRecord): Uint8Array {
  const json = Buffer.from(JSON.stringify(record));
  const isLong = json.length > PLAIN_SIZE_MAX;
  const head = Buffer.from([FORM, isLong ? COMPRESSED : PLAIN]);
  return Buffer.concat([head, isLong ? deflateRawSync(json, { level: LEVEL }) : json]);
}

/** Null for another version's, or bytes that are none of ours. */
export function readRecord(bytes: Uint8Array): ResponseRecord | null {
  const [form, way] = bytes;
  const body = bytes.subarray(2);
  if (form !== FORM) return null;
  try {
    const json = way === COMPRESSED ? inflateRawSync(body, { maxOutputLength: WHOLE_SIZE_MAX }) : body;
    return JSON.parse(Buffer.from(json).toString()) as ResponseRecord;
  } catch {
    return null; // cut or altered: as good as not there
  }
}

/** As this node keeps it, or tells of one that another node still writes. */
export function storedOf(
  id: string,
  owner: string,
  { input, history, response, output, log, open }: ResponseRecord,
): StoredResponse {
  return {
    ...{ id, owner, input, history },
    // Outside of lanes nobody waits: what was told was told before it began.
    response: () => (open?.lane === null ? { ...response, status: 'in_progress' } : response),
    output: () => output,
    isOver: () => open === null,
    cancel: () => {},
    ...(log !== null && { log: EventLog.of(log) }),
  };
}
