// Schemas that multiply when they are read: references that lead back, alternatives beside thousands of properties, counts of a
// million, lists that are deeper than a stack. Each is compiled or refused with its place, in portions, within the bound on them.
import { describe, expect, test } from 'vitest';
import { grammarBounds } from '../../../../server/grammar/bounds.ts';
import { RegexTable } from '../../../../server/grammar/byte-regex.ts';
import { writeSource } from '../../../../server/grammar/compiler.ts';
import { GrammarError } from '../../../../server/grammar/grammar-error.ts';
import { jsonTerminals } from '../../../../server/grammar/json-terminals.ts';
import { Pace } from '../../../../server/grammar/pace.ts';
import type { Expression } from '../../../../server/grammar/rules.ts';
import { openCompiler } from '../../../grammar-rig.ts';

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
const named = (count: number, make: (index: number) => unknown, prefix = 'p') =>
  Object.fromEntries(many(count, (i) => [`${prefix}${i}`, make(i)]));
const back = { $ref: '#/$defs/n' };
const turned = (n: unknown) => ({ $defs: { n }, type: 'object', not: back });
const text = (length: number) => 'a'.repeat(length);

/** Portions of reading it, alone; the error if it is refused. */
function read(schema: unknown): { portions: number; refusal: GrammarError | null } {
  const older = new RegexTable();
  const terminals = jsonTerminals(older);
  const table = new RegexTable(older);
  const rules = new Map<string, Expression>();
  const world = { table, terminals, pace: new Pace(table), bounds: grammarBounds, rules };
  let portions = 0;
  try {
    for (const _ of writeSource({ kind: 'json-schema', schema, strict: true }, world)) portions++;
    return { portions, refusal: null };
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    return { portions, refusal: error };
  }
}

describe('compiled', () => {
  test.each<[string, unknown]>([
    ['a million of a kind', { type: 'array', contains: { const: 1 }, minContains: 1e6, maxContains: 1e6 }],
    ['at least a million of a kind', { type: 'array', contains: { const: 1 }, minContains: 1e6 }],
    [
      'at most a million of a kind',
      { type: 'array', contains: { const: 1 }, minContains: 0, maxContains: 1e6 },
    ],
    ['a million items', { type: 'array', items: { const: 1 }, minItems: 1e6 }],
    ['9,000 items that may be left out', { type: 'array', prefixItems: many(9_000, () => true) }],
    ['9,000 items', { type: 'array', prefixItems: many(9_000, () => true), minItems: 9_000 }],
    ['one property of 5,000', { type: 'object', properties: named(4_998, () => false), maxProperties: 1 }],
    ['not what leads back twice', turned({ properties: named(2, () => back), required: ['p0'] })],
    ['not what leads back fifty times', turned({ properties: named(50, () => back), required: ['p0'] })],
    ['not what is all of itself', turned({ allOf: many(10, () => back), required: ['p0'] })],
    [
      '900 objects that all hold',
      { allOf: many(900, (i) => ({ properties: named(5, () => false, `q${i}_`) })) },
    ],
    [
      '9,000 texts that fit a long pattern',
      { enum: many(9_000, (i) => `v${i}`), pattern: many(300, (i) => `^v${i}`).join('|') },
    ],
    [
      '200 alternatives of 200 constants',
      {
        oneOf: many(200, (i) => ({
          type: 'object',
          properties: { k: { enum: many(200, (j) => `${i} ${j}`) } },
          required: ['k'],
        })),
      },
    ],
  ])('%s', async (_, schema) => {
    const compiler = openCompiler();
    const { ignored } = await compiler.run(compiler.compile({ kind: 'json-schema', strict: true, schema }));
    expect(ignored).toEqual([]);
  });
});

describe('refused with its place', () => {
  test.each<[string, unknown, string]>([
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON schema
    ['what holds if it holds', { $defs: { n: { if: back, then: back, else: back } }, ...back }, '"if"'],
    [
      'thousands of properties beside hundreds of alternatives',
      {
        type: 'object',
        properties: named(4_000, () => ({ type: 'string' })),
        anyOf: many(900, () => ({ properties: { a: { type: 'string' } } })),
      },
      '"properties"',
    ],
    [
      'alternatives beside alternatives',
      { allOf: many(12, (i) => ({ anyOf: many(3, (j) => ({ minItems: i + j })) })) },
      '"allOf"',
    ],
    [
      'itself twice behind 40,000 words that say nothing',
      {
        $defs: { n: { ...named(40_000, (i) => i, 'x'), allOf: [back, back] } },
        ...back,
        allOf: [{ type: 'object' }],
      },
      '"allOf"',
    ],
    [
      'keys by patterns, of itself',
      {
        $defs: {
          n: { type: 'object', patternProperties: Object.fromEntries(many(6, (i) => ['abcdef'[i]!, back])) },
        },
        ...back,
      },
      'merged deeper than',
    ],
  ])('%s', (_, schema, place) => {
    expect(read(schema).refusal?.message).toContain(place);
  });
});

describe('in portions', () => {
  test.each<[string, unknown, number]>([
    [
      'alternatives that each take thousands of properties along',
      {
        type: 'object',
        properties: named(4_000, () => false),
        anyOf: many(900, () => ({ minProperties: 1 })),
      },
      100,
    ],
    [
      'not what has thousands of properties',
      { not: { properties: named(4_900, () => ({ type: 'null' })) } },
      10,
    ],
    ['a text of 400,000 characters', { enum: [text(400_000)] }, 300],
    ['a text of 400,000 characters and a pattern', { enum: [text(400_000)], pattern: '^(a|b)*$' }, 700],
    ['a key of 400,000 characters', { type: 'object', properties: { [text(400_000)]: false } }, 300],
  ])('%s', (_, schema, least) => {
    expect(read(schema).portions).toBeGreaterThanOrEqual(least);
  });

  test('values that many places list are looked at once', () => {
    const items = { $ref: '#/$defs/listed' };
    const listed = { enum: many(9_000, (i) => i) };
    const schema = (count: number) => ({
      $defs: { listed },
      type: 'object',
      properties: named(count, () => ({ type: 'array', uniqueItems: true, maxItems: 1, items })),
    });
    expect(read(schema(100)).portions).toBeLessThan(read(schema(1)).portions + 20);
  });
});

test('of large grammars four are made at a time, and small ones in between', async () => {
  const compiler = openCompiler();
  const order: string[] = [];
  const compile = async (name: string, count: number, length: number) => {
    const texts = many(count, (i) => `${i} ${'x'.repeat(length)} ${name} ${i}`);
    await compiler.compile({ kind: 'choice', texts });
    order.push(name);
  };
  const large = ['a', 'b', 'c', 'd'].map((name) => compile(name, 1_500, 150));
  const work = [...large, compile('e', 3_000, 20), compile('small', 1, 1)];
  await compiler.run(Promise.all(work));
  expect(order[0]).toBe('small');
  expect(order[1]).not.toBe('e'); // though it would be through earlier
});
