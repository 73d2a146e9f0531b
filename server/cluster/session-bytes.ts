// A session's state as bytes, for a store that nodes share: a head (MessagePack with a version), and columns that grow at their ends
// as the conversation does, so that a turn is told as what it has added. Owns the form and what is a change; knows no store. Before it:
// sessions/session-state.ts; after it: session-directory.ts and redis-sessions.ts.
import { createHash } from 'node:crypto';
import { pack, unpack } from '../client/wire.ts';
import type { EndedAnswer } from '../sessions/session-answer.ts';
import type { SessionState } from '../sessions/session-state.ts';

export interface SessionBytes {
  readonly head: Uint8Array;
  readonly columns: readonly Uint8Array[]; // [COLUMNS]
}

/** What a store is told: the head, and each column from `start` on; from 0 it is all of it. */
export interface SessionChange {
  readonly head: Uint8Array;
  readonly columns: readonly { readonly start: number; readonly bytes: Uint8Array }[]; // [COLUMNS]
}

/** What was told of a column before, as far as that has to be known. */
export interface ToldColumn {
  readonly size: number; // bytes
  readonly digest: string;
}

type Told = readonly ToldColumn[];
type Columns = [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]; // [COLUMNS]
type Chat = NonNullable<SessionState['transcript']['chat']>;

interface Head extends Omit<SessionState, 'transcript' | 'answer'> {
  readonly version: number;
  readonly raw: boolean;
  readonly isChat: boolean;
  readonly sizes: readonly number[]; // [COLUMNS] bytes; behind them may lie what was there before
}

const VERSION = 3;
/** Token ids (int32), text and messages of a chat, marks (two int32 each), the answer that has ended (MessagePack or nothing). */
export const COLUMNS = 5;

export function sessionBytes({ transcript, answer, ...state }: SessionState): SessionBytes {
  const { tokens, chat, marks, raw } = transcript;
  const columns = [
    bytesOf(tokens),
    Buffer.from(chat?.text ?? '', 'utf8'),
    Buffer.from((chat?.messages ?? []).map((message) => `${JSON.stringify(message)}\n`).join(''), 'utf8'),
    bytesOf(Int32Array.from(marks.flatMap((mark) => [mark.text, mark.tokens]))),
    answer === null ? new Uint8Array() : pack(answer),
  ];
  const sizes = columns.map(({ length }) => length);
  const head: Head = { ...state, version: VERSION, raw, isChat: chat !== null, sizes };
  return { head: pack(head), columns };
}

/** What is new since `told`; null: nothing was told. And what is told by then. */
export function changeSince(
  told: Told | null,
  { head, columns }: SessionBytes,
): { readonly change: SessionChange; readonly told: Told } {
  const starts = columns.map((column, index) => {
    const before = told?.[index];
    const begins = before !== undefined && before.size <= column.length;
    return begins && digestOf(column.subarray(0, before.size)) === before.digest ? before.size : 0;
  });
  return {
    change: {
      head,
      columns: columns.map((column, index) => ({
        start: starts[index]!,
        bytes: column.subarray(starts[index]!),
      })),
    },
    told: columns.map((column) => ({ size: column.length, digest: digestOf(column) })),
  };
}

/** Null for another version's, or bytes that are none of ours. */
export function sessionOf({ head: packed, columns }: SessionBytes): SessionState | null {
  const head = headOf(packed);
  if (head === null) return null;
  const whole = columns.map((column, index) => column.subarray(0, head.sizes[index]));
  if (whole.some(({ length }, index) => length !== head.sizes[index])) return null;
  const [tokens, text, messages, marks, ended] = whole as Columns;
  if (tokens.length % 4 !== 0 || marks.length % 8 !== 0) return null;
  const chat = head.isChat ? chatOf(text, messages) : null;
  if (head.isChat && chat === null) return null;
  const answer = ended.length === 0 ? null : (unpacked(ended) as EndedAnswer | null);
  if (ended.length > 0 && answer === null) return null;
  const numbers = int32Of(marks);
  const { version: _, raw, isChat: __, sizes: ___, ...state } = head;
  return {
    ...{ ...state, answer },
    transcript: {
      ...{ raw, chat, tokens: int32Of(tokens) },
      marks: Array.from({ length: numbers.length / 2 }, (_, at) => ({
        text: numbers[2 * at]!,
        tokens: numbers[2 * at + 1]!,
      })),
    },
  };
}

function headOf(packed: Uint8Array): Head | null {
  const head = unpacked(packed) as Head | null;
  return head?.version === VERSION && head.sizes?.length === COLUMNS ? head : null;
}

function unpacked(bytes: Uint8Array): unknown {
  try {
    return unpack(bytes);
  } catch {
    return null; // cut or altered: as good as not there
  }
}

function chatOf(text: Uint8Array, messages: Uint8Array): Chat | null {
  try {
    const lines = textOf(messages).split('\n').slice(0, -1);
    return {
      text: textOf(text),
      messages: lines.map((line) => JSON.parse(line) as Chat['messages'][number]),
    };
  } catch {
    return null;
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function bytesOf(numbers: Int32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

function int32Of(bytes: Uint8Array): Int32Array {
  return new Int32Array(Uint8Array.from(bytes).buffer);
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64');
}
