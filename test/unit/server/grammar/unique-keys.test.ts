// No object of an answer has a key twice: free keys are remembered, few that a pattern leaves are listed, and so the number
// of keys can be asked for.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { maskAllows } from '../../../../kernels/backend.ts';
import { Random } from '../../../../kernels/random.ts';
import type { TokenConstraint } from '../../../../server/engine/request.ts';
import type { GrammarBounds } from '../../../../server/grammar/bounds.ts';
import type { GrammarSource } from '../../../../server/grammar/compiler.ts';
import { toolGrammar } from '../../../../server/tools/call-grammar.ts';
import { hermes, llama3 } from '../../../../server/tools/dialect.ts';
import { drawText, openCompiler, refusalOf, stopTokenId, tokenizer } from '../../../grammar-rig.ts';

const integer = { type: 'integer' };

async function constraintOf(
  schema: unknown,
  bounds: Partial<GrammarBounds> = {},
): Promise<() => TokenConstraint> {
  return of({ kind: 'json-schema', schema, strict: true }, bounds);
}

async function of(
  source: GrammarSource,
  bounds: Partial<GrammarBounds> = {},
): Promise<() => TokenConstraint> {
  const compiler = openCompiler(bounds);
  const grammar = await compiler.run(compiler.compile(source));
  return () => grammar.newConstraint();
}

const fits = (begin: () => TokenConstraint, text: string) => refusalOf(begin(), text) === null;

describe('a free key', () => {
  test.each<[name: string, schema: object]>([
    ['of a pattern', { type: 'object', patternProperties: { '^S_': integer }, additionalProperties: false }],
    ['of any form', { type: 'object', additionalProperties: integer }],
    ['beside declared ones', { properties: { S: integer }, additionalProperties: integer, type: 'object' }],
  ])('%s stands in an object once', async (_, schema) => {
    const begin = await constraintOf(schema);
    for (const text of ['{"S_a":1}', '{"S_a":1,"S_ab":2}', '{"S_ab":1,"S_a":2}', '{"S_a":1,"S_b":2,"S_c":3}'])
      expect([text, fits(begin, text)]).toEqual([text, true]);
    for (const text of [
      '{"S_a":1,"S_a":2}',
      '{"S_a":1,"S_b":2,"S_a":3}',
      '{"S_a": 1, "S_a": 1}',
      '{ "S_":1,\n"S_":1}',
    ])
      expect([text, fits(begin, text)]).toEqual([text, false]);
  });

  test('may stand in other objects again, inside, beside and behind', async () => {
    const begin = await of({ kind: 'json-object' });
    for (const text of [
      '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2,"b":"a"}],"c":"a"}',
      '{"a":"\\"a\\":","b":"{\\"a\\":1,\\"a\\":1}"}',
      '{"a\\"":1,"a":2,"a\\\\":3}',
      '{"é":1,"e":2,"":3}',
    ])
      expect([text, fits(begin, text)]).toEqual([text, true]);
    for (const text of [
      '{"a":{"b":1},"a":2}',
      '{"a":{"b":1,"b":2}}',
      '{"x":[{"a":1},{"a":1,"a":1}]}',
      '{"a\\"":1,"a\\"":2}',
      '{"é":1,"é":2}',
      '{"":1,"":2}',
      '{"a":"{","a":1}',
      '{"a":[1,{"b":[]}],"a":1}',
    ])
      expect([text, fits(begin, text)]).toEqual([text, false]);
  });

  test('that a model would write for ever comes once, and a draft is not remembered', async () => {
    const begin = await constraintOf({
      type: 'object',
      patternProperties: { '^S_': integer },
      additionalProperties: false,
    });
    const constraint = begin();
    for (const token of tokenizer.encode('{"S_1":1,')) constraint.accept(token);
    const draft = constraint.fork();
    for (const token of tokenizer.encode('"S_2":2,')) draft.accept(token);
    expect(continues(draft, '"S_2":')).toBe(false);
    expect(continues(constraint, '"S_2":')).toBe(true);
    expect(continues(constraint, '"S_1":')).toBe(false);
    expect(continues(draft, '"S_1":')).toBe(false);
    expect(continues(draft, '"S_3":')).toBe(true);
  });

  test('is remembered up to the bound; behind it keys may come again', async () => {
    const begin = await constraintOf({ type: 'object', additionalProperties: integer }, { objectKeysMax: 2 });
    expect(fits(begin, '{"a":1,"b":2,"c":3,"c":4}')).toBe(true);
    expect(fits(begin, '{"a":1,"b":2,"c":3,"b":4}')).toBe(false);
  });

  test.each([hermes, llama3])('of a call’s arguments stands there once: $name', async (dialect) => {
    const parameters = { type: 'object', additionalProperties: integer };
    const tools = [{ kind: 'function', name: 'f', description: null, parameters, strict: true }] as const;
    const answer = { tools, choice: { kind: 'required' }, parallel: true, dialect, text: null } as const;
    const compiler = openCompiler();
    const grammar = await compiler.run(compiler.compile(toolGrammar(answer)!));
    const begin = () => grammar.newConstraint();
    const { open, close, argumentsKey } = dialect;
    const call = (written: string) => `${open}{"name":"f","${argumentsKey}":${written}}${close}`;
    expect(fits(begin, call('{"a":1,"b":2}'))).toBe(true);
    expect(fits(begin, call('{"a":1,"a":2}'))).toBe(false);
    expect(fits(begin, `${call('{"a":1}')}\n${call('{"a":1}')}`)).toBe(true);
  });
});

describe('few keys', () => {
  test('of a pattern are listed: each once, in their order, and then no comma', async () => {
    const begin = await constraintOf({
      type: 'object',
      patternProperties: { '^[ab]$': integer, '^(x|yy)$': { type: 'boolean' } },
      additionalProperties: false,
    });
    for (const text of ['{}', '{"a":1}', '{"b":1}', '{"a":1,"b":2}', '{"b":2,"yy":true}'])
      expect([text, fits(begin, text)]).toEqual([text, true]);
    for (const text of ['{"a":1,"a":2}', '{"c":1}', '{"a":true}', '{"x":1}'])
      expect([text, fits(begin, text)]).toEqual([text, false]);
    const constraint = begin();
    for (const token of tokenizer.encode('{"a":1,"b":2,"x":true,"yy":true')) constraint.accept(token);
    expect(continues(constraint, ',')).toBe(false);
    expect(continues(constraint, '}')).toBe(true);
  });
});

describe('the number of keys', () => {
  const cases: readonly [schema: object, few: string, many: string][] = [
    [
      { type: 'object', additionalProperties: integer, minProperties: 3 },
      '{"a":1,"b":2}',
      '{"a":1,"b":2,"c":3}',
    ],
    [
      { type: 'object', properties: { p: integer }, additionalProperties: integer, minProperties: 3 },
      '{"a":1,"b":2}',
      '{"p":1,"b":2,"c":3}',
    ],
    [
      {
        type: 'object',
        patternProperties: { '^S_': integer },
        additionalProperties: false,
        minProperties: 2,
        maxProperties: 3,
      },
      '{"S_1":1}',
      '{"S_1":1,"S_2":2}',
    ],
  ];
  test.each(cases)('may be asked of free ones, too: %j', async (schema, few, many) => {
    const begin = await constraintOf(schema);
    expect([few, fits(begin, few)]).toEqual([few, false]);
    expect([many, fits(begin, many)]).toEqual([many, true]);
    const validate = new Ajv2020({ strict: false }).compile(schema);
    let ended = 0;
    for (let seed = 0; seed < 30; seed++) {
      const draw = drawText(begin(), { random: new Random(seed), wildCount: 30, tokensMax: 300 });
      if (!draw.ended) continue;
      ended++;
      // JSON.parse keeps the last of equal keys, so the validator would count less.
      expect([draw.text, validate(JSON.parse(draw.text))]).toEqual([draw.text, true]);
    }
    expect(ended).toBeGreaterThan(10);
  });

  test('is refused beyond what is remembered, by the option’s name', async () => {
    const schema = { type: 'object', additionalProperties: integer, minProperties: 5 };
    await expect(constraintOf(schema, { objectKeysMax: 4 })).rejects.toThrow('--object-keys');
  });
});

/** Whether the text may come next, as the tokenizer cuts it; the constraint stays where it is. */
function continues(constraint: TokenConstraint, text: string): boolean {
  const ahead = constraint.fork();
  for (const token of tokenizer.encode(text)) {
    const mask = ahead.mask()!;
    if (token === stopTokenId || !maskAllows(mask, token)) return false;
    ahead.accept(token);
  }
  return true;
}
