// Bytes of a request body → a checked value, or the one fault that says which field is wrong and what it may be.
// Pure. Before it: http-call.ts; after it: the route that asked.
import type { z } from 'zod';
import { type Fault, fault } from './errors.ts';

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: Fault };

/** Unknown fields are dropped by the schema; null and absent are the same to every optional field of ours. */
export function parseJsonBody<T>(body: Uint8Array, schema: z.ZodType<T>): Parsed<T> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    return { ok: false, fault: fault('invalid_json', `the body is not JSON: ${(error as Error).message}`) };
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, value: parsed.data };
  return { ok: false, fault: faultOfIssue(parsed.error.issues[0]!) };
}

function faultOfIssue(issue: z.core.$ZodIssue): Fault {
  const { path, message } = innermost(issue);
  const param = pathText(path);
  return fault('invalid_request', param === '' ? message : `${param}: ${message}`, { param: param || null });
}

/** A union reports one list of issues per alternative; the one that came furthest into the value says most. */
function innermost(issue: z.core.$ZodIssue): {
  readonly path: readonly PropertyKey[];
  readonly message: string;
} {
  if (issue.code !== 'invalid_union') return issue;
  const firsts = issue.errors.flatMap((issues) => (issues[0] === undefined ? [] : [innermost(issues[0])]));
  const depth = Math.max(0, ...firsts.map(({ path }) => path.length));
  const deepest = firsts.filter(({ path }) => path.length === depth);
  const message = deepest.map((inner) => inner.message).join(', or ');
  return { path: [...issue.path, ...(deepest[0]?.path ?? [])], message: message || issue.message };
}

/** ["messages", 2, "content"] → messages[2].content */
function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}
