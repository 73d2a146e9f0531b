import { expect, test } from 'vitest';
import { z } from 'zod';
import { checkJson, type Parsed, parseJson } from '../../../../server/base/json-body.ts';

function parseJsonBody<T>(body: Uint8Array, schema: z.ZodType<T>, valuesMax: number): Parsed<T> {
  const value = parseJson(body, valuesMax);
  return value.ok ? checkJson(value.value, schema) : value;
}

function param(schema: z.ZodType, value: unknown): string | null {
  const parsed = parseJsonBody(Buffer.from(JSON.stringify(value)), schema, 100);
  if (parsed.ok) throw new Error('was accepted');
  return parsed.fault.param;
}

const part = z.object({ type: z.string() });
const content = z.object({ content: z.union([z.string(), z.array(part).max(2)]) });

test('a fault names the path of its field as a caller would write it', () => {
  const schema = z.object({ a: z.array(z.object({ b: z.number() })) });
  expect(param(schema, { a: [{ b: 1 }, { b: 'x' }] })).toBe('a[1].b');
  expect(param(schema, [])).toBe(null);
});

test('in a union the alternative that was meant speaks', () => {
  expect(param(content, { content: [{ type: 'a' }, { typo: 'b' }] })).toBe('content[1].type');
  expect(param(content, { content: [{ type: 'a' }, { type: 'b' }, { type: 'c' }] })).toBe('content');
});

test('where no alternative fits the message names all of them', () => {
  const parsed = parseJsonBody(Buffer.from('{"content":7}'), content, 100);
  expect(parsed).toMatchObject({ ok: false, fault: { code: 'invalid_request', param: 'content' } });
  expect(!parsed.ok && parsed.fault.message).toMatch(/^content: .*string.*, or .*array/);
});

test('the message carries the bound', () => {
  const parsed = parseJsonBody(Buffer.from('{"n":9}'), z.object({ n: z.int().max(8) }), 100);
  expect(!parsed.ok && parsed.fault.message).toContain('8');
});

test('a body of more values than may be is refused by the name of the bound, before its schema is asked', () => {
  const schema = z.unknown().transform(() => {
    throw new Error('asked');
  });
  const parsed = parseJsonBody(Buffer.from(JSON.stringify({ a: Array(101).fill(',') })), schema, 100);
  expect(parsed).toMatchObject({
    ok: false,
    fault: { code: 'body_too_large', message: expect.stringMatching(/100 values \(--body-values\)/) },
  });
  expect(parseJsonBody(Buffer.from(JSON.stringify([','.repeat(500)])), z.unknown(), 100).ok).toBe(true);
});

test('quotes and backslashes within strings hide neither brackets nor commas behind them', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  for (const text of ['\\\\', '\\"', '\\\\\\"[[[', 'a\\\\', '[,,,', '']) {
    const parse = (json: string, valuesMax = 100) => parseJsonBody(Buffer.from(json), z.unknown(), valuesMax);
    expect(parse(`["${text}",${nested(256)}]`)).toMatchObject({ ok: false, fault: { code: 'invalid_json' } });
    expect(parse(`["${text}",${nested(254)}]`).ok).toBe(true);
    expect([parse(`["${text}",1,2]`, 2).ok, parse(`["${text}",1,2]`, 3).ok]).toEqual([false, true]);
  }
});
