import { expect, test } from 'vitest';
import { z } from 'zod';
import { Random } from '../../../../kernels/random.ts';
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

test('bytes are read as UTF-8 is to be read, or refused', () => {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const random = new Random(1);
  const pieces = ['a', 'é', '解', '🙂', '\u0000', '\ufeff', '\\n'].map((text) => [...Buffer.from(text)]);
  const broken = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe8, 0xa7], [0xf4, 0x90, 0x80, 0x80]];
  for (let round = 0; round < 500; round++) {
    const from = round % 3 === 0 ? [...pieces, ...broken] : pieces.slice(0, random.integer(1, pieces.length));
    const drawn = Array.from(
      { length: random.integer(0, 6) },
      () => from[random.integer(0, from.length - 1)]!,
    );
    const mark = round % 5 === 0 ? [0xef, 0xbb, 0xbf] : [];
    const bytes = Uint8Array.from([...mark, 0x22, ...drawn.flat(), 0x22]);
    let expected: unknown = null;
    try {
      expected = JSON.parse(decoder.decode(bytes));
    } catch {} // neither is JSON
    const parsed = parseJson(bytes, 100);
    expect([bytes, parsed.ok ? parsed.value : null]).toEqual([bytes, expected]);
  }
});

test('a member of an object counts as what it costs to read: five values', () => {
  const parse = (json: string, valuesMax: number) =>
    parseJsonBody(Buffer.from(json), z.unknown(), valuesMax).ok;
  for (const [json, count] of [
    ['{"a":1,"b":[1,2],"c":{}}', 16],
    ['[{"a":":"},{"a":","}]', 10],
    ['{}', 1],
  ] as const) {
    expect([json, parse(json, count - 1), parse(json, count)]).toEqual([json, false, true]);
  }
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
