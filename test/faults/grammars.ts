// Constraints that are wrong, impossible, or cheap to write and dear to build.
import { expect } from 'vitest';
import type { Family } from './fault.ts';

const nested = (depth: number): object =>
  depth === 0
    ? { type: 'string' }
    : { type: 'object', properties: { a: nested(depth - 1) }, required: ['a'] };

const SCHEMAS: Readonly<Record<string, unknown>> = {
  'nothing is allowed': false,
  'a number': 7,
  'an unknown type': { type: 'sound' },
  'a reference to itself': { $ref: '#' },
  'references in a circle': {
    $ref: '#/$defs/a',
    $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } },
  },
  'a reference to nowhere': { $ref: '#/$defs/nobody' },
  'a reference to the network': { $ref: 'http://127.0.0.1:1/schema.json' },
  'endless recursion': { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] },
  'deep nesting': nested(60),
  'two million characters': { type: 'string', minLength: 2_000_000, maxLength: 4_000_000 },
  'a million items': { type: 'array', items: { type: 'integer' }, minItems: 1_000_000 },
  'an empty range': { type: 'integer', minimum: 5, maximum: 4 },
  'a thin range': { type: 'number', minimum: 1e-300, maximum: 2e-300 },
  'numbers of 300 digits': { type: 'integer', minimum: -1e300, maximum: 1e300 },
  'an empty enum': { enum: [] },
  'an enum of 5,000': { enum: Array.from({ length: 5000 }, (_, index) => `value ${index * 7919}`) },
  'a hundred alternatives of a hundred': {
    anyOf: Array.from({ length: 100 }, (_, a) => ({
      enum: Array.from({ length: 100 }, (_, b) => `${a} ${b}`),
    })),
  },
  '1,000 optional properties': {
    type: 'object',
    properties: Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`p${n}`, { type: 'integer' }])),
    additionalProperties: false,
  },
  'a property called __proto__': JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string"}}}'),
};

const PATTERNS = [
  '(a+)+$',
  '(a|aa)*b',
  '(x{1,1000}){1,1000}',
  '((((((a{1,9}){1,9}){1,9}){1,9}){1,9}){1,9})',
  '(.*a){25}',
  '[^]',
  '(?=a)b',
  '(?<!a)b',
  '(a)\\1',
  '(',
  '[z-a]',
  'a{5,2}',
  '\\u{110000}',
  '(?:'.repeat(2000),
  `^${'(a|b)?'.repeat(500)}$`,
  '[\u{10000}-\u{10ffff}]{1000}',
];

const LARK = [
  'start: start "a" | "b"',
  'start: a\na: b\nb: a',
  'start: (("a"?)*)*',
  'start: a a a a\na: b b b b b b b b\nb: c c c c c c c c\nc: d d d d d d d d\nd: "x"?',
  'start: nobody',
  'start: "a',
  'start: /(/',
  '%import common.WORD\nstart: WORD',
  `start: ${'('.repeat(5000)}`,
  `start: ${Array.from({ length: 3000 }, (_, n) => `"w${n}"`).join(' | ')}`,
  'start: "a"~1000000',
  '',
];

export const grammars: Family = {
  name: 'Hostile schemas, grammars, patterns',
  faults: [
    {
      id: 'grammars/schemas',
      does: `${Object.keys(SCHEMAS).length} JSON schemas that are wrong, impossible or dear, as format and as a tool’s`,
      promise: 'an answer, or 400 that says where; nobody else is drawn under them',
      pace: 'slow',
      inject: async (arena) => {
        const messages = [{ role: 'user', content: 'x' }];
        for (const [name, schema] of Object.entries(SCHEMAS)) {
          const format = { type: 'json_schema', json_schema: { name: 's', schema } };
          await answered(
            arena.post('/v1/chat/completions', { messages, response_format: format, max_tokens: 6 }),
            name,
          );
          const tools = [{ type: 'function', name: 'f', parameters: schema }];
          const forced = { input: 'x', tools, tool_choice: 'required', max_output_tokens: 6, store: false };
          await answered(arena.post('/v1/responses', forced), `tool: ${name}`);
        }
        return 2 * Object.keys(SCHEMAS).length;
      },
    },
    {
      id: 'grammars/patterns',
      does: `${PATTERNS.length} patterns that make backtracking engines hang, or automatons grow`,
      promise: 'an answer, or 400 that says where',
      pace: 'slow',
      inject: async (arena) => {
        for (const pattern of PATTERNS) {
          const schema = { type: 'string', pattern };
          const format = { type: 'json_schema', json_schema: { name: 's', schema } };
          const messages = [{ role: 'user', content: 'x' }];
          await answered(
            arena.post('/v1/chat/completions', { messages, response_format: format, max_tokens: 6 }),
            pattern.slice(0, 60),
          );
          const custom = {
            type: 'custom',
            name: 'c',
            format: { type: 'grammar', syntax: 'regex', definition: pattern },
          };
          const forced = {
            input: 'x',
            tools: [custom],
            tool_choice: 'required',
            max_output_tokens: 6,
            store: false,
          };
          await answered(arena.post('/v1/responses', forced), pattern.slice(0, 60));
        }
        return 2 * PATTERNS.length;
      },
    },
    {
      id: 'grammars/lark',
      does: `${LARK.length} Lark grammars: left recursion, circles, explosions, syntax errors`,
      promise: 'an answer, or 400 that says where',
      pace: 'slow',
      inject: async (arena) => {
        for (const definition of LARK) {
          const format = { type: 'grammar', syntax: 'lark', definition };
          const body = { input: 'x', text: { format }, max_output_tokens: 6, store: false };
          await answered(arena.post('/v1/responses', body), definition.slice(0, 60));
        }
        return LARK.length;
      },
    },
  ],
};

async function answered(
  asked: Promise<{ readonly status: number; readonly text: string; readonly json: unknown }>,
  name: string,
): Promise<void> {
  const { status, text, json } = await asked;
  expect([200, 400], `${name}: ${text.slice(0, 200)}`).toContain(status);
  if (status === 400) expect(json, name).toMatchObject({ error: { message: expect.any(String) } });
}
