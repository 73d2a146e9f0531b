// Bytes of a request body → a checked value, or the one fault that says which field is wrong and what it may be.
// Pure. Before it: http/http-call.ts; after it: the route that asked.
import type { z } from 'zod';
import { type Fault, fault } from './errors.ts';
import { withExactSeed } from './exact-integers.ts';
import { textOfUtf8 } from './utf8.ts';

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: Fault };

const NESTING_MAX = 256; // no client's schemas or arguments come near
const MEMBER_VALUES = 5; // a member of an object costs as much to parse as so many numbers of an array

/** Any JSON that is not nested too deep and does not hold too many values. */
export function parseJson(body: Uint8Array, valuesMax: number): Parsed<unknown> {
  const shape = shapeOf(body);
  if (shape.valueCount > valuesMax) {
    const message = `the body holds more than ${valuesMax} values (--body-values)`;
    return { ok: false, fault: fault('body_too_large', message) };
  }
  let value: unknown;
  try {
    const text = textOf(body);
    value = withExactSeed(JSON.parse(text), text);
  } catch (error) {
    return { ok: false, fault: fault('invalid_json', `the body is not JSON: ${(error as Error).message}`) };
  }
  if (shape.depth > NESTING_MAX) {
    return {
      ok: false,
      fault: fault('invalid_json', `the body is nested deeper than ${NESTING_MAX} levels`),
    };
  }
  return { ok: true, value };
}

/** Less a byte order mark, as RFC 8259 allows it. Throws TypeError. */
function textOf(body: Uint8Array): string {
  const text = textOfUtf8(body);
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}

/** Unknown fields are dropped by the schema; null and absent are the same to every optional field of ours. */
export function checkJson<T>(value: unknown, schema: z.ZodType<T>): Parsed<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, value: parsed.data };
  return { ok: false, fault: faultOfIssue(parsed.error.issues[0]!) };
}

/** Of brackets, commas and colons outside strings, if the text is JSON. What walks the value later recurses. */
function shapeOf(json: Uint8Array): { readonly depth: number; readonly valueCount: number } {
  let valueCount = 1;
  let depth = 0;
  let deepest = 0;
  for (let index = 0; index < json.length; index++) {
    const byte = json[index];
    if (byte === 0x22) index = endOfString(json, index);
    else if (byte === 0x7b || byte === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x7d || byte === 0x5d) depth--;
    else if (byte === 0x2c) valueCount++;
    else if (byte === 0x3a) valueCount += MEMBER_VALUES - 1; // it has its comma
  }
  return { depth: deepest, valueCount };
}

/** Index of the quote that ends the string which begins at `start`; beyond the end where none does. */
function endOfString(json: Uint8Array, start: number): number {
  for (let at = json.indexOf(0x22, start + 1); at >= 0; at = json.indexOf(0x22, at + 1)) {
    let slashCount = 0;
    while (json[at - 1 - slashCount] === 0x5c) slashCount++; // the opening quote ends the run at the latest
    if (slashCount % 2 === 0) return at;
  }
  return json.length;
}

function faultOfIssue(issue: z.core.$ZodIssue): Fault {
  const { path, message } = innermost(issue);
  const param = pathText(path);
  return fault('invalid_request', param === '' ? message : `${param}: ${message}`, { param: param || null });
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly mistyped: boolean; // the value was meant for another alternative
}

/**
 * A union reports the issues of every alternative. The one that was meant is the one whose types fit, else the one
 * that fitted longest; where several fitted as long, the caller may choose.
 */
function innermost(issue: z.core.$ZodIssue): Issue {
  const { path, message } = issue;
  // The record's key: what would be accepted is said by the key's own issue.
  if (issue.code === 'invalid_key') {
    return { path, message: issue.issues[0]?.message ?? message, mistyped: false };
  }
  if (issue.code !== 'invalid_union') return { path, message, mistyped: issue.code === 'invalid_type' };
  const firsts = issue.errors.flatMap((issues) => (issues[0] === undefined ? [] : [innermost(issues[0])]));
  const fitting = firsts.filter(({ mistyped }) => !mistyped);
  const candidates = fitting.length > 0 ? fitting : firsts;
  const furthest = candidates.reduce((a, b) => (isFurther(b.path, a.path) ? b : a), candidates[0]!);
  const meant = candidates.filter((candidate) => !isFurther(furthest.path, candidate.path));
  return {
    path: [...path, ...furthest.path],
    message: [...new Set(meant.map((inner) => inner.message))].join(', or '),
    mistyped: fitting.length === 0,
  };
}

function isFurther(path: readonly PropertyKey[], than: readonly PropertyKey[]): boolean {
  for (const [depth, part] of path.entries()) {
    const other = than[depth];
    if (other === undefined) return true;
    if (typeof part === 'number' && typeof other === 'number' && part !== other) return part > other;
  }
  return false;
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
