import { describe, expect, test } from 'vitest';
import { maskAllows } from '../../../../kernels/backend.ts';
import { Random } from '../../../../kernels/random.ts';
import { type ToolAnswer, toolGrammar } from '../../../../server/tools/call-grammar.ts';
import { CallParser } from '../../../../server/tools/call-parser.ts';
import type { Tool } from '../../../../server/tools/definition.ts';
import { hermes, llama3 } from '../../../../server/tools/dialect.ts';
import { drawText, openCompiler, refusalOf, stopTokenId } from '../../../grammar-rig.ts';

const city = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const weather: Tool = {
  kind: 'function',
  name: 'weather',
  description: null,
  parameters: city,
  strict: true,
};
const clock: Tool = { kind: 'function', name: 'clock', description: null, parameters: null, strict: false };
const patchGrammar = 'start: "*** Begin" LF line+ "*** End" LF?\nline: "+" /(.*)/ LF\n%import common.LF';
const patch: Tool = {
  kind: 'custom',
  name: 'patch',
  description: null,
  format: { kind: 'lark', definition: patchGrammar },
};
const tools = [weather, clock, patch];
const auto: ToolAnswer = { tools, choice: { kind: 'auto' }, parallel: true, dialect: hermes, text: null };
const compiler = openCompiler();

async function constraintOf(answer: ToolAnswer) {
  return (await compiler.run(compiler.compile(toolGrammar(answer)!))).newConstraint();
}

const call = (name: string, args: string) =>
  `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`;
const good = call('weather', '{"city": "Bonn"}');

describe('tool_choice auto', () => {
  test.each([
    '',
    'Just text with {"json": 1} and a < in it.',
    good,
    `Let me see. ${good}`,
    `${good}\n${call('clock', '{}')}`,
    call('patch', JSON.stringify({ input: '*** Begin\n+a "quoted" line\n+\n*** End\n' })),
  ])('allows %j', async (text) => {
    expect(refusalOf(await constraintOf(auto), text)).toBeNull();
  });

  test.each([
    call('nothing', '{}'),
    call('weather', '{"town": "Bonn"}'),
    call('weather', '{}'),
    call('clock', '{"x": 1}'),
    call('patch', '{"input": "free text"}'),
    '<tool_call>hello',
    `${good} and more text`,
  ])('refuses %j', async (text) => {
    expect(refusalOf(await constraintOf(auto), text)).not.toBeNull();
  });

  test('one call is all without parallel calls', async () => {
    const answer = { ...auto, parallel: false };
    expect(refusalOf(await constraintOf(answer), good)).toBeNull();
    expect(refusalOf(await constraintOf(answer), `${good}\n${good}`)).not.toBeNull();
  });

  test('text keeps the form it was asked for', async () => {
    const answer = { ...auto, text: { kind: 'choice', texts: ['yes', 'no'] } as const };
    expect(refusalOf(await constraintOf(answer), 'yes')).toBeNull();
    expect(refusalOf(await constraintOf(answer), good)).toBeNull();
    expect(refusalOf(await constraintOf(answer), 'maybe')).not.toBeNull();
  });
});

test('required means a call, named means that call', async () => {
  const required: ToolAnswer = { ...auto, choice: { kind: 'required' } };
  expect(refusalOf(await constraintOf(required), '')).toBe(0);
  expect(refusalOf(await constraintOf(required), `Text ${good}`)).toBe(0);
  expect(refusalOf(await constraintOf(required), good)).toBeNull();
  const named: ToolAnswer = { ...auto, choice: { kind: 'named', name: 'clock' } };
  expect(refusalOf(await constraintOf(named), call('clock', '{}'))).toBeNull();
  expect(refusalOf(await constraintOf(named), good)).not.toBeNull();
});

test('none, and no tools at all, leave the text to itself', () => {
  expect(toolGrammar({ ...auto, choice: { kind: 'none' } })).toBeNull();
  expect(toolGrammar({ ...auto, tools: [], text: { kind: 'json-object' } })).toEqual({ kind: 'json-object' });
});

test('an unknown tool and a schema that cannot be enforced are told by their place', async () => {
  expect(() => toolGrammar({ ...auto, choice: { kind: 'named', name: 'x' } })).toThrow(
    'tool_choice: there is no tool "x"',
  );
  const odd: Tool = {
    ...weather,
    parameters: { type: 'object', properties: { a: { not: { format: 'email' } } } },
  };
  const compiled = compiler.compile(toolGrammar({ ...auto, tools: [clock, odd] })!);
  await expect(compiler.run(compiled)).rejects.toThrow(
    'tools[1].parameters#/properties/a: "not": cannot be enforced',
  );
  const loose = { ...odd, strict: false };
  const { ignored } = await compiler.run(compiler.compile(toolGrammar({ ...auto, tools: [clock, loose] })!));
  expect(ignored).toEqual([{ path: 'tools[1].parameters#/properties/a', keyword: 'not' }]);
});

test.each([hermes, llama3])(
  'whatever is drawn under the grammar, the parser finds calls that parse: %j',
  async (dialect) => {
    for (let seed = 0; seed < 25; seed++) {
      const constraint = await constraintOf({ ...auto, choice: { kind: 'required' }, dialect });
      const draw = drawText(constraint, { random: new Random(seed), wildCount: 60, tokensMax: 600 });
      if (!draw.ended) continue;
      const parser = new CallParser(tools, dialect);
      const events = [...Array.from(draw.text).flatMap((piece) => parser.push(piece)), ...parser.end(false)];
      expect(events.filter(({ kind }) => kind === 'text' || kind === 'call-broken')).toEqual([]);
      const closed = events.filter((event) => event.kind === 'call-closed');
      expect(closed.length).toBeGreaterThan(0);
      const named = events.filter((event) => event.kind === 'call-opened');
      for (const [i, { arguments: text }] of closed.entries()) {
        if (named[i]!.tool.name === 'patch') expect(text).toMatch(/^\*\*\* Begin\n(\+.*\n)+\*\*\* End\n?$/u);
        else expect(typeof JSON.parse(text)).toBe('object');
      }
    }
  },
);

test('a model may stop at any character of its text, but not inside a call', async () => {
  const constraint = await constraintOf(auto);
  expect(maskAllows(constraint.mask()!, stopTokenId)).toBe(true);
  expect(refusalOf(constraint, '<tool_call>\n{"name": "')).toBeGreaterThan(0);
});
