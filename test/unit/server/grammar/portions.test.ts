// No input holds the event loop: whatever is compiled is compiled in portions, of a bounded amount of work each, and
// grammars that are made at the same time take turns. Bounds are options, and the refusal names them.
import { describe, expect, test } from 'vitest';
import { maskAllows } from '../../../../kernels/backend.ts';
import { OPTIONS } from '../../../../server/config/options.ts';
import { Automaton } from '../../../../server/grammar/automaton.ts';
import { type GrammarBounds, grammarBounds } from '../../../../server/grammar/bounds.ts';
import { type Regex, RegexTable } from '../../../../server/grammar/byte-regex.ts';
import { type GrammarSource, writeSource } from '../../../../server/grammar/compiler.ts';
import { jsonTerminals } from '../../../../server/grammar/json-terminals.ts';
import { Pace } from '../../../../server/grammar/pace.ts';
import { type Expression, lowerGrammar } from '../../../../server/grammar/rules.ts';
import { allowedIds, openCompiler, stopTokenId, tokenizer } from '../../../grammar-rig.ts';

const portionWorkMax = 4_000; // a portion ends after 1,000; the step that it ends with may have a few times as much

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
const schema = (value: unknown): GrammarSource => ({ kind: 'json-schema', schema: value, strict: true });
const properties = (count: number, make: (index: number) => unknown) =>
  Object.fromEntries(many(count, (i) => [`property_${i}`, make(i)]));
const word = (index: number): string => ((index * 2_654_435_761) >>> 0).toString(36);

const hostile: readonly (readonly [name: string, source: GrammarSource])[] = [
  ['5,000 properties', schema({ type: 'object', properties: properties(5000, () => ({ type: 'integer' })) })],
  [
    '5,000 properties and others',
    schema({
      type: 'object',
      properties: properties(5000, () => ({ type: 'null' })),
      additionalProperties: true,
    }),
  ],
  [
    '1,000 ranges',
    schema({
      type: 'object',
      properties: properties(1000, (i) => ({ type: 'number', minimum: i * 3.7, maximum: i * 1000.123 + 8 })),
    }),
  ],
  [
    'six patterns of alternatives that keys may hold',
    schema({
      type: 'object',
      patternProperties: Object.fromEntries(
        many(6, (i) => [many(100, (j) => `${word(i * 100 + j)}[a-z]{1,4}x`).join('|'), true]),
      ),
    }),
  ],
  [
    '200 patterns that a text must hold together',
    schema({ type: 'string', allOf: many(200, (i) => ({ pattern: `a${i}` })) }),
  ],
  ['an enum of 10,000 texts', schema({ enum: many(10_000, (i) => `value ${word(i)}`) })],
  [
    'a oneOf of 1,000 objects',
    schema({
      oneOf: many(1000, (i) => ({
        type: 'object',
        properties: { kind: { const: `k${i}` } },
        required: ['kind'],
      })),
    }),
  ],
  [
    'references 5,000 deep',
    schema({
      $ref: '#/$defs/d0',
      $defs: Object.fromEntries(
        many(5000, (i) => [
          `d${i}`,
          i === 4999 ? { type: 'null' } : { type: 'array', items: { $ref: `#/$defs/d${i + 1}` } },
        ]),
      ),
    }),
  ],
  ['a choice of 10,000 texts', { kind: 'choice', texts: many(10_000, (i) => `value ${word(i)}`) }],
  [
    'a Lark rule of 9,000 words',
    { kind: 'lark', definition: `start: ${many(9000, (i) => `"${i}"`).join('|')}` },
  ],
  [
    '4,000 Lark rules',
    {
      kind: 'lark',
      definition: `start: ${many(4000, (i) => `r${i}`).join(' ')}\n${many(4000, (i) => `r${i}: "x"\n`).join('')}`,
    },
  ],
  [
    '4,000 GBNF rules',
    {
      kind: 'gbnf',
      definition: `${many(4000, (i) => `${i === 0 ? 'root' : `r${i}`} ::= "x" r${i + 1}\n`).join('')}r4000 ::= "y"`,
    },
  ],
];

/** The most that is done between two yields, and how often it yields, also before it is refused as too large. */
function measure(source: GrammarSource): { most: number; portions: number } {
  const older = new RegexTable();
  const terminals = jsonTerminals(older);
  const table = new RegexTable(older);
  const pace = new Pace(table);
  const rules = new Map<string, Expression>();
  let id = 0;
  const world = { table, terminals, pace, bounds: grammarBounds, rules };
  function* all() {
    const { start } = yield* writeSource(source, world);
    rules.set('start', start);
    const openAutomaton = (regex: Regex) => Automaton.open(id++, regex, { table, pace });
    yield* lowerGrammar({ rules, start: 'start' }, { pace, bounds: grammarBounds, openAutomaton });
  }
  let [most, portions, before] = [0, 0, 0];
  try {
    for (const _ of all()) {
      const done = table.work + table.made;
      most = Math.max(most, done - before);
      before = done;
      portions++;
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'too-large' });
  }
  return { most, portions };
}

test.each(hostile)('%s: many portions of bounded work', (_, source) => {
  const { most, portions } = measure(source);
  expect(portions).toBeGreaterThan(20);
  expect(most).toBeLessThan(portionWorkMax);
});

test('a small grammar is there while a large one is still being made', async () => {
  const compiler = openCompiler();
  const order: string[] = [];
  const large = compiler.compile(hostile[0]![1]).then(() => order.push('large'));
  const small = compiler.compile(schema({ type: 'integer' })).then(() => order.push('small'));
  await compiler.run(Promise.all([large, small]));
  expect(order).toEqual(['small', 'large']);
});

describe('bounds are options, and the refusal names option and number', () => {
  const two = schema({ type: 'object', properties: properties(2, () => ({ enum: ['a', 'b'] })) });
  const cases: readonly (readonly [keyof GrammarBounds & keyof typeof OPTIONS, number, GrammarSource])[] = [
    ['schemaPropertiesMax', 1, two],
    ['schemaValuesMax', 5, two],
    ['schemaSizeMax', 10, two],
    ['schemaSizeMax', 3, { kind: 'choice', texts: ['ab', 'cd'] }],
    ['grammarTextsMax', 1, two],
    ['grammarTextsMax', 1, { kind: 'choice', texts: ['a', 'b'] }],
    ['grammarSizeMax', 8, { kind: 'lark', definition: 'start: "abc"' }],
    ['grammarSizeMax', 8, { kind: 'gbnf', definition: 'root ::= "abc"' }],
    ['patternSizeMax', 3, { kind: 'regex', pattern: 'abcd' }],
    ['patternSizeMax', 3, schema({ type: 'string', pattern: '^abcd$' })],
    ['patternSizeMax', 3, { kind: 'lark', definition: 'start: /abcd/' }],
    ['grammarNodesMax', 4, two],
    ['grammarStatesMax', 16, schema({ type: 'string', pattern: '^[a-z]{40}$', minLength: 3 })],
    ['grammarPortionsMax', 16, hostile[0]![1]],
  ];

  test.each(cases)('%s', async (name, most, source) => {
    const compiler = openCompiler({ [name]: most });
    const { flag } = OPTIONS[name];
    await expect(compiler.run(compiler.compile(source))).rejects.toMatchObject({
      name: 'GrammarError',
      message: expect.stringMatching(new RegExp(`\\b${most}\\b.*\\(--${flag}\\)`)),
    });
  });

  test("the defaults are the options' own", () => {
    for (const [name, most] of Object.entries(grammarBounds)) {
      expect(OPTIONS[name as keyof GrammarBounds].default).toBe(most);
    }
  });
});

const ways = (count: number): GrammarSource => {
  const pattern = (i: number): string => (i % 2 === 0 ? '[a-z]*' : `[a-z]{${(i % 9) + 1}}`);
  const terminals = many(count, (i) => `T${i}: /${pattern(i)}-${word(i)}/\n`);
  const start = `start: ${many(count, (i) => `T${i}`).join(' | ')} | LAST\n`;
  return { kind: 'lark', definition: `${start}${terminals.join('')}LAST: "7th"\n` };
};

test('a mask takes as many steps as it may: the ways behind lose their longer tokens, none of their bytes', async () => {
  const [few, most] = await Promise.all(
    [1_000, 100_000_000].map(async (maskStepsMax) => {
      const compiler = openCompiler({ maskStepsMax });
      const constraint = (await compiler.run(compiler.compile(ways(100)))).newConstraint();
      return new Set(allowedIds(constraint.mask()!));
    }),
  );
  for (const id of few!) expect(most!.has(id)).toBe(true);
  const lost = [...most!].filter((id) => !few!.has(id)).map((id) => tokenizer.tokenBytes(id).length);
  expect(lost.length).toBeGreaterThan(0);
  expect(Math.min(...lost)).toBeGreaterThan(1);
});

test('where there are too many ways to go on, single bytes stay allowed, and what went before changes nothing', async () => {
  const source = ways(900);
  const [used, fresh] = [openCompiler(), openCompiler()];
  const grammar = await used.run(used.compile(source));
  const last = grammar.newConstraint();
  for (const byte of '7th') {
    const id = tokenizer.encode(byte)[0]!;
    expect(maskAllows(last.mask()!, id)).toBe(true);
    last.accept(id);
  }
  expect(maskAllows(last.mask()!, stopTokenId)).toBe(true);
  // One of the two has looked at the first state before: what is remembered counts as what is made.
  const [again, first] = [grammar.newConstraint(), (await fresh.run(fresh.compile(source))).newConstraint()];
  for (const constraint of [again, first]) constraint.accept(tokenizer.encode('a')[0]!);
  expect(allowedIds(again.mask()!)).toEqual(allowedIds(first.mask()!));
});
