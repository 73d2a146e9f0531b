// Worker-thread entry: loads a model, so that the thread that serves goes on serving, and ends. Before it: backend.ts; after
// it: ort.ts.
import { type LooseSession, openLooseSession } from './ort.ts';
import type { OrtError } from './ort-error.ts';
import type { SessionOptions } from './runtime.ts';

/** Errors are values: a class does not survive the way between threads. */
export type OpenedApart =
  | { readonly ok: true; readonly session: LooseSession }
  | { readonly ok: false; readonly code: OrtError['code']; readonly message: string };

export default function open(options: SessionOptions): OpenedApart {
  try {
    return { ok: true, session: openLooseSession(options) };
  } catch (error) {
    const { code, message } = error as OrtError;
    return { ok: false, code, message };
  }
}
