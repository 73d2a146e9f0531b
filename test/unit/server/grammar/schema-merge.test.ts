// Schemas that must all hold, as one: what fits both fits, what breaks either does not.
import { describe, expect, test } from 'vitest';
import { maskAllows } from '../../../../kernels/backend.ts';
import { openCompiler, stopTokenId, tokenizer } from '../../../grammar-rig.ts';

const compiler = openCompiler();

async function fits(schema: unknown, text: string): Promise<boolean> {
  const { newConstraint } = await compiler.run(
    compiler.compile({ kind: 'json-schema', schema, strict: true }),
  );
  const constraint = newConstraint();
  return [...tokenizer.encode(text), stopTokenId].every((token) => {
    const mask = constraint.mask();
    if (mask !== null && !maskAllows(mask, token)) return false;
    constraint.accept(token);
    return true;
  });
}

const a = { type: 'object', properties: { a: { type: 'integer', minimum: 1, maximum: 5 } }, required: ['a'] };
const b = { type: 'object', properties: { b: { enum: ['x'] } }, required: ['b'] };

describe('allOf', () => {
  test.each<[unknown, string, string]>([
    [{ allOf: [a, b] }, '{"a":3,"b":"x"}', '{"a":3}'],
    [{ ...a, allOf: [b] }, '{"a":3,"b":"x"}', '{"b":"x"}'],
    [{ allOf: [a, { properties: { a: { maximum: 2 } } }] }, '{"a":2}', '{"a":3}'],
    [{ allOf: [{ type: ['string', 'integer'] }, { type: 'number' }] }, '7', '"7"'],
    [{ allOf: [{ enum: [1, 2, 3] }, { enum: [2, 3, 4] }] }, '3', '1'],
    [{ allOf: [{ anyOf: [{ type: 'integer' }, { type: 'string' }] }, { type: 'integer' }] }, '7', '"7"'],
    [{ $defs: { a }, $ref: '#/$defs/a', properties: { b: { const: 'x' } } }, '{"b":"x","a":1}', '{"b":"x"}'],
    [
      { $defs: { a, b }, allOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/b' }] },
      '{"a":1,"b":"x"}',
      '{"a":1}',
    ],
    [{ allOf: [{ const: 2 }, { enum: [1, 2] }] }, '2', '1'],
  ])('%j', async (schema, fitting, other) => {
    expect([await fits(schema, fitting), await fits(schema, other)]).toEqual([true, false]);
  });

  test.each([
    {
      allOf: [
        { type: 'number', multipleOf: 0.2 },
        { type: 'number', multipleOf: 0.3 },
      ],
    },
    { $ref: '#', allOf: [a] },
    { allOf: [{ type: 'array', prefixItems: [{ type: 'string' }] }, { items: { type: 'integer' } }] },
    { allOf: Array.from({ length: 12 }, () => ({ anyOf: [a, b, { type: 'null' }] })) },
    {
      $defs: {
        a: { properties: { c: { $ref: '#/$defs/a' } } },
        b: { properties: { c: { $ref: '#/$defs/b' } } },
      },
      allOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/b' }],
    },
  ])('%j is refused with its place', async (schema) => {
    await expect(fits(schema, '{}')).rejects.toThrow('#');
  });
});
