import { describe, expect, test } from 'vitest';
import { maskAllows } from '../../../../kernels/backend.ts';
import { Random } from '../../../../kernels/random.ts';
import {
  allowedIds,
  drawText,
  openCompiler,
  refusalOf,
  stopTokenId,
  tokenizer,
} from '../../../grammar-rig.ts';

const compiler = openCompiler();

async function compile(schema: unknown, strict = true) {
  return compiler.run(compiler.compile({ kind: 'json-schema', schema, strict }));
}

function nested(depth: number): unknown {
  let schema: unknown = { type: 'null' };
  for (let i = 0; i < depth; i++) schema = { type: 'array', items: schema };
  return schema;
}

const doubling = Object.fromEntries(
  Array.from({ length: 60 }, (_, i) => [
    `d${i}`,
    {
      type: 'object',
      properties: { a: { $ref: `#/$defs/d${i + 1}` }, b: { $ref: `#/$defs/d${i + 1}` } },
      required: ['a', 'b'],
    },
  ]),
);

describe('bad schemas are refused in little time, with the place', () => {
  test.each([
    ['deep nesting', nested(5000), 'too-large', '#'],
    [
      'many properties',
      {
        type: 'object',
        properties: Object.fromEntries(Array.from({ length: 6000 }, (_, i) => [`p${i}`, {}])),
      },
      'too-large',
      '#',
    ],
    [
      'much text',
      { enum: Array.from({ length: 9000 }, (_, i) => `value ${i} ${'x'.repeat(60)}`) },
      'too-large',
      '#',
    ],
    [
      'endless recursion',
      {
        $ref: '#/$defs/a',
        $defs: { a: { type: 'object', properties: { a: { $ref: '#/$defs/a' } }, required: ['a'] } },
      },
      'unsatisfiable',
      'start',
    ],
    ['a reference to itself', { $ref: '#' }, 'unsatisfiable', null],
    ['a dangling reference', { properties: { x: { $ref: '#/$defs/none' } } }, 'invalid', '#/properties/x'],
    ['a remote reference', { $ref: 'https://example.com/schema' }, 'unsupported', '#'],
    ['an unknown type', { items: { type: 'float' } }, 'invalid', '#/items'],
    ['nothing allowed', { type: 'integer', minimum: 3, maximum: 2 }, 'unsatisfiable', 'start'],
    ['a huge automaton', { type: 'string', pattern: '^(.{1,900}x){2}', minLength: 100 }, 'too-large', null],
    ['a keyword we cannot enforce', { type: 'array', uniqueItems: true }, 'unsupported', '#'],
    ['overlapping oneOf', { oneOf: [{ format: 'email' }, { minLength: 9 }] }, 'unsupported', '#'],
    ['a schema that is none', 5, 'invalid', '#'],
  ])('%s', async (_, schema, code, path) => {
    const fault = await compile(schema).then(
      () => null,
      (error: unknown) => error as { code: string; path: string },
    );
    expect(fault).toMatchObject({ name: 'GrammarError', code, ...(path !== null && { path }) });
  });

  test('references that double at every level cost no more than they are long', async () => {
    const leaf = { d60: { type: 'null' } };
    const schema = { $ref: '#/$defs/d0', $defs: { ...doubling, ...leaf } };
    const constraint = (await compile(schema)).newConstraint();
    expect(refusalOf(constraint, `${'{"a":'.repeat(60)}null`)).toBe(
      tokenizer.encode(`${'{"a":'.repeat(60)}null`).length,
    );
  });

  test('a format that is not known asks for nothing, by the standard', async () => {
    const { ignored } = await compile({ type: 'string', format: 'iban' });
    expect(ignored).toEqual([{ path: '#', keyword: 'format' }]);
  });

  test('what cannot be enforced is ignored and told unless strict', async () => {
    const schema = { type: 'object', properties: { x: { type: 'array', uniqueItems: true, contains: {} } } };
    const { ignored } = await compile(schema, false);
    expect(ignored).toEqual([{ path: '#/properties/x', keyword: 'uniqueItems' }]);
  });
});

describe('masks', () => {
  test('only a stop token may follow a document that cannot go on', async () => {
    const constraint = (await compile({ const: 'x' })).newConstraint();
    for (const token of tokenizer.encode('"x"')) {
      expect(maskAllows(constraint.mask()!, stopTokenId)).toBe(false);
      constraint.accept(token);
    }
    expect(allowedIds(constraint.mask()!)).toEqual([stopTokenId]);
    constraint.accept(stopTokenId);
    expect(allowedIds(constraint.mask()!)).toEqual([stopTokenId]);
  });

  test('a number may go on or stop', async () => {
    const constraint = (await compile({ type: 'integer' })).newConstraint();
    constraint.accept(tokenizer.encode('7')[0]!);
    expect(maskAllows(constraint.mask()!, stopTokenId)).toBe(true);
    expect(maskAllows(constraint.mask()!, tokenizer.encode('7')[0]!)).toBe(true);
  });

  test('white space comes to an end', async () => {
    const grammar = await compile({ type: 'array', items: { type: 'null' }, minItems: 1 });
    for (const blank of [' ', '\n', '\t']) {
      const constraint = grammar.newConstraint();
      const id = tokenizer.encode(blank)[0]!;
      constraint.accept(tokenizer.encode('[')[0]!);
      let count = 0;
      while (maskAllows(constraint.mask()!, id) && count < 1000) {
        constraint.accept(id);
        count++;
      }
      expect(count).toBeLessThan(70);
    }
  });

  test('special tokens are never part of a document', async () => {
    const constraint = (await compile({ type: 'string' })).newConstraint();
    constraint.accept(tokenizer.encode('"')[0]!);
    for (const id of allowedIds(constraint.mask()!)) expect(tokenizer.isSpecial(id)).toBe(false);
  });
});

test('equal sources share one grammar, and the least recently used goes first', async () => {
  const small = openCompiler({ grammarsMax: 2, maskCacheSizeMax: 2 ** 20, grammarStatesKeptMax: 1000 });
  const schemaOf = (name: string) =>
    ({ kind: 'json-schema', schema: { const: name }, strict: true }) as const;
  const get = (name: string) => small.run(small.compile(schemaOf(name)));
  const first = await get('a');
  expect(await get('a')).toBe(first);
  await get('b');
  expect(await get('a')).toBe(first);
  await get('c');
  expect(await get('a')).toBe(first);
  const again = await get('b');
  expect(again).not.toBe(first);
});

test('small caches change nothing but time', async () => {
  const schema = {
    type: 'object',
    properties: { a: { type: 'string', maxLength: 40 }, b: { type: 'array', items: { type: 'number' } } },
    required: ['a', 'b'],
  };
  const draws = [];
  for (const size of [2 ** 26, 1]) {
    const own = openCompiler({ grammarsMax: 1, maskCacheSizeMax: size, grammarStatesKeptMax: size });
    const { newConstraint } = await own.run(own.compile({ kind: 'json-schema', schema, strict: true }));
    draws.push(drawText(newConstraint(), { random: new Random(7), wildCount: 60, tokensMax: 200 }).text);
  }
  expect(draws[0]).toBe(draws[1]);
});
