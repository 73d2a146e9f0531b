// Keywords of JSON schema, each by documents that fit and documents that do not, and by what a model that draws anything
// allowed comes to: a validator has the last word.
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { drawText, openCompiler, refusalOf } from '../../../grammar-rig.ts';

const compiler = openCompiler();
const ajv = new Ajv2020({ strict: false, validateFormats: false });
const olderAjv = new Ajv2019({ strict: false, validateFormats: false });

const compile = (schema: unknown) =>
  compiler.run(compiler.compile({ kind: 'json-schema', schema, strict: true }));

type Case = [schema: object, fitting: readonly unknown[], others: readonly unknown[]];

async function check(schema: object, fitting: readonly unknown[], others: readonly unknown[]): Promise<void> {
  const grammar = await compile(schema);
  const { items } = schema as { items?: unknown };
  const validator =
    Array.isArray(items) || 'additionalItems' in schema || 'dependencies' in schema ? olderAjv : ajv;
  const validate = validator.compile(schema);
  for (const value of fitting) {
    expect([value, validate(value)]).toEqual([value, true]);
    expect([value, refusalOf(grammar.newConstraint(), JSON.stringify(value))]).toEqual([value, null]);
  }
  for (const value of others) {
    expect([value, validate(value)]).toEqual([value, false]);
    expect([value, refusalOf(grammar.newConstraint(), JSON.stringify(value)) === null]).toEqual([
      value,
      false,
    ]);
  }
  let ended = 0;
  for (let seed = 0; seed < 25; seed++) {
    const random = new Random(seed);
    const draw = drawText(grammar.newConstraint(), { random, wildCount: 20, tokensMax: 250 });
    if (!draw.ended) continue;
    ended++;
    if (!validate(JSON.parse(draw.text)))
      expect.fail(`${JSON.stringify(schema)}: ${draw.text}: ${validator.errorsText(validate.errors)}`);
  }
  expect(ended).toBeGreaterThan(5);
}

const integer = { type: 'integer' };

/** No literal, because a property `then` makes a promise of it for the linter. */
function conditional(asked: object, met: object, unmet?: object): object {
  return Object.fromEntries([
    ['if', asked],
    ['then', met],
    ...(unmet === undefined ? [] : [['else', unmet]]),
  ]) as object;
}

const object = { type: 'object' };

describe('objects', () => {
  test.each<Case>([
    [
      {
        ...object,
        patternProperties: { '^x': integer, '^y': { type: 'boolean' } },
        additionalProperties: false,
      },
      [{}, { x1: 1, yes: true }, { yo: false, x: 2 }],
      [{ x1: true }, { y: 1 }, { z: 1 }],
    ],
    [
      {
        ...object,
        patternProperties: { a: { minimum: 3, type: 'integer' }, b: { maximum: 5, type: 'integer' } },
      },
      [{ a: 9 }, { b: 1 }, { ab: 4 }, { c: 'free' }],
      [{ ab: 9 }, { ab: 1 }, { a: 1 }],
    ],
    [
      {
        ...object,
        properties: { xa: { maximum: 5, type: 'integer' } },
        patternProperties: { '^x': { minimum: 2, type: 'integer' } },
        additionalProperties: { type: 'string' },
      },
      [{ xa: 3 }, { xa: 2, xb: 9, other: 's' }],
      [{ xa: 9 }, { xa: 1 }, { other: 1 }],
    ],
    [
      { ...object, propertyNames: { pattern: '^[a-z]{1,3}$' }, additionalProperties: integer },
      [{}, { abc: 1, d: 2 }],
      [{ ABC: 1 }, { abcd: 1 }],
    ],
    [
      {
        ...object,
        propertyNames: { enum: ['red', 'blue'] },
        additionalProperties: integer,
        minProperties: 2,
      },
      [{ red: 1, blue: 2 }],
      [{ red: 1 }, { green: 1 }],
    ],
    [
      {
        ...object,
        properties: { a: integer, B: integer },
        propertyNames: { maxLength: 1, pattern: '[a-z]' },
      },
      [{ a: 1 }, {}],
      [{ B: 1 }],
    ],
    [{ ...object, minProperties: 1, additionalProperties: integer }, [{ a: 1 }, { a: 1, b: 2 }], [{}]],
    [{ ...object, maxProperties: 2 }, [{}, { a: 1, b: 2 }], [{ a: 1, b: 2, c: 3 }]],
    [
      {
        ...object,
        properties: { a: integer, b: integer, c: integer },
        minProperties: 2,
        maxProperties: 2,
        required: ['b'],
      },
      [
        { a: 1, b: 2 },
        { b: 1, c: 2 },
      ],
      [{ b: 1 }, { a: 1, b: 2, c: 3 }, { a: 1, c: 2 }],
    ],
    [
      {
        ...object,
        properties: { a: integer, b: integer },
        additionalProperties: integer,
        minProperties: 3,
        maxProperties: 4,
      },
      [
        { a: 1, b: 2, c: 3 },
        { a: 1, b: 2, c: 3, d: 4 },
      ],
      [
        { a: 1, b: 2 },
        { a: 1, b: 2, c: 3, d: 4, e: 5 },
      ],
    ],
    [
      {
        ...object,
        allOf: [{ properties: { a: integer } }, { properties: { b: integer } }],
        unevaluatedProperties: false,
      },
      [{ a: 1, b: 2 }, {}],
      [{ a: 1, c: 2 }],
    ],
    [
      {
        $defs: { base: { ...object, properties: { a: integer }, required: ['a'] } },
        $ref: '#/$defs/base',
        properties: { b: integer },
        unevaluatedProperties: { type: 'string' },
      },
      [
        { b: 2, a: 1 },
        { a: 1, more: 'text' },
      ],
      [{ a: 1, more: 3 }],
    ],
  ])('%j', check);
});

describe('conditions', () => {
  const kinds = {
    ...object,
    properties: { kind: { enum: ['a', 'b'] }, x: integer, y: integer },
    required: ['kind'],
  };
  test.each<Case>([
    [
      {
        ...kinds,
        ...conditional({ properties: { kind: { const: 'a' } } }, { required: ['x'] }, { required: ['y'] }),
      },
      [
        { kind: 'a', x: 1 },
        { kind: 'b', y: 1 },
        { kind: 'b', x: 1, y: 2 },
      ],
      [{ kind: 'a' }, { kind: 'b', x: 1 }, { kind: 'a', y: 1 }],
    ],
    [
      { ...kinds, ...conditional({ required: ['x'] }, { required: ['y'] }) },
      [{ kind: 'a' }, { kind: 'a', y: 1 }, { kind: 'a', x: 1, y: 2 }],
      [{ kind: 'a', x: 1 }],
    ],
    [
      {
        ...kinds,
        allOf: [
          conditional({ properties: { kind: { const: 'a' } } }, { required: ['x'] }),
          conditional({ properties: { kind: { const: 'b' } } }, { required: ['y'] }),
        ],
      },
      [
        { kind: 'a', x: 1 },
        { kind: 'b', y: 1 },
      ],
      [
        { kind: 'a', y: 1 },
        { kind: 'b', x: 1 },
      ],
    ],
    [
      { ...integer, ...conditional({ minimum: 10 }, { multipleOf: 10 }, { maximum: 3 }) },
      [20, 3, -5],
      [11, 5],
    ],
    [{ type: 'string', not: { enum: ['no', 'never'] } }, ['yes', 'n', 'nobody'], ['no', 'never']],
    [{ type: 'string', not: { pattern: 'x' } }, ['abc'], ['axb']],
    [{ type: 'number', not: { const: 5 } }, [4, 5.5, -5, 50], [5]],
    [{ type: 'integer', not: { enum: [0, 7] } }, [1, 70], [0, 7]],
    [{ type: ['string', 'integer', 'null'], not: { type: 'string' } }, [1, null], ['a']],
    [{ ...kinds, not: { required: ['x', 'y'] } }, [{ kind: 'a', x: 1 }], [{ kind: 'a', x: 1, y: 2 }]],
    [{ not: { anyOf: [{ type: 'string' }, { type: 'object' }] } }, [1, true, null, [1]], ['a', {}]],
    [{ type: 'array', items: integer, not: { contains: { const: 3 } } }, [[], [1, 2]], [[1, 3]]],
    [
      { ...kinds, dependentRequired: { x: ['y'] } },
      [{ kind: 'a' }, { kind: 'a', x: 1, y: 2 }, { kind: 'a', y: 2 }],
      [{ kind: 'a', x: 1 }],
    ],
    [
      { ...kinds, dependentSchemas: { x: { properties: { y: { minimum: 5 } }, required: ['y'] } } },
      [
        { kind: 'a', y: 1 },
        { kind: 'a', x: 1, y: 7 },
      ],
      [{ kind: 'a', x: 1, y: 2 }],
    ],
    [
      { ...kinds, dependencies: { x: ['y'], y: { properties: { x: { maximum: 3 } } } } },
      [{ kind: 'a' }, { kind: 'a', x: 1, y: 2 }],
      [
        { kind: 'a', x: 1 },
        { kind: 'a', x: 9, y: 2 },
      ],
    ],
    [
      {
        ...object,
        properties: { a: integer, b: integer },
        anyOf: [{ required: ['a'] }, { required: ['b'] }],
      },
      [{ a: 1 }, { b: 1 }, { a: 1, b: 2 }],
      [{}],
    ],
    [
      {
        ...object,
        properties: { a: integer, b: integer },
        oneOf: [{ required: ['a'] }, { required: ['b'] }],
      },
      [{ a: 1 }, { b: 1 }],
      [{}, { a: 1, b: 2 }],
    ],
    [
      {
        oneOf: [
          { type: 'string', maxLength: 3 },
          { type: 'string', minLength: 2 },
        ],
      },
      ['a', 'abcd'],
      ['ab'],
    ],
    [{ ...integer, anyOf: [{ minimum: 5 }, { maximum: -5 }] }, [5, -9], [0]],
    [{ enum: ['a', 'bb', 'ccc', 4], minLength: 2 }, ['bb', 'ccc', 4], ['a']],
    [
      {
        allOf: [
          { type: 'string', pattern: 'a' },
          { type: 'string', pattern: 'b' },
        ],
      },
      ['ab', 'b a'],
      ['a', 'b'],
    ],
    [{ allOf: [{ ...integer, multipleOf: 4 }, { multipleOf: 6 }] }, [12, 0, -24], [4, 6]],
  ])('%j', check);
});

describe('arrays', () => {
  test.each<Case>([
    [
      { type: 'array', items: { enum: ['a', 'b', 'c'] }, uniqueItems: true, minItems: 1, maxItems: 2 },
      [['a'], ['a', 'c'], ['b', 'c']],
      [[], ['a', 'a'], ['a', 'b', 'c']],
    ],
    [{ type: 'array', items: { type: 'boolean' }, uniqueItems: true }, [[], [true, false]], [[true, true]]],
    [{ type: 'array', items: integer, contains: { minimum: 5 } }, [[1, 7, 2], [5]], [[], [1, 2]]],
    [
      { type: 'array', items: integer, contains: { minimum: 5 }, minContains: 2 },
      [
        [5, 1, 6],
        [7, 7],
      ],
      [[7, 1]],
    ],
    [
      { type: 'array', items: integer, contains: { minimum: 5 }, maxContains: 1, maxItems: 3 },
      [[7, 1, 2], [9]],
      [
        [7, 8],
        [1, 2],
        [7, 1, 2, 3],
      ],
    ],
    [
      { type: 'array', items: [integer, { type: 'string' }], additionalItems: false },
      [[1, 'a'], [1]],
      [[1, 'a', 2]],
    ],
    [
      { type: 'array', prefixItems: [integer], unevaluatedItems: { type: 'string' } },
      [[1], [1, 'a', 'b']],
      [[1, 2]],
    ],
  ])('%j', check);
});

test.each<Case>([
  [{ type: 'string', pattern: '^\\p{Lu}\\p{Ll}+$' }, ['Éric', 'Ada'], ['ada', 'ADA', 'Ada1']],
  [{ type: 'string', pattern: '^[\\p{L}\\p{Nd}_]+$' }, ['añ٣_'], ['a b']],
  [{ type: 'string', pattern: '^\\P{L}*$' }, ['123 -'], ['12a']],
  [{ type: 'string', pattern: '^\\p{Script=Greek}{2}$' }, ['αβ'], ['ab']],
])('classes of characters: %j', check);

test.each<[object, string]>([
  [{ ...object, minProperties: 5000, additionalProperties: integer }, '#: "minProperties"'],
  [{ type: 'array', items: integer, uniqueItems: true }, '#: "uniqueItems"'],
  [{ type: 'object', properties: { a: { $dynamicRef: '#x' } } }, '#/properties/a: "$dynamicRef"'],
  [{ type: 'string', not: { format: 'email' } }, '#: "not"'],
  [{ type: 'object', propertyNames: { anyOf: [{ minLength: 1 }, { pattern: 'a' }] } }, '#: "propertyNames"'],
  [{ type: 'object', patternProperties: { '(?=a)': {} } }, 'patternProperties'],
  [{ type: 'string', pattern: '\\p{Nonsense}' }, '#/pattern'],
])('what cannot be held is refused with its place: %j', async (schema, place) => {
  await expect(compile(schema)).rejects.toThrow(place);
});
