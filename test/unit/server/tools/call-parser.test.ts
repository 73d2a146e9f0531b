import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CallParser, type ToolEvent } from '../../../../server/tools/call-parser.ts';
import type { Tool } from '../../../../server/tools/definition.ts';
import { hermes, llama3, type ToolDialect } from '../../../../server/tools/dialect.ts';

const weather: Tool = { kind: 'function', name: 'weather', description: null, parameters: {}, strict: false };
const patch: Tool = { kind: 'custom', name: 'apply_patch', description: null, format: { kind: 'text' } };
const tools = [weather, patch];

function parse(pieces: readonly string[], dialect: ToolDialect = hermes): ToolEvent[] {
  const parser = new CallParser(tools, dialect);
  return [...pieces.flatMap((piece) => parser.push(piece)), ...parser.end(false)];
}

/** Neighbouring texts and arguments joined, tools by name. */
function outline(events: readonly ToolEvent[]): string[] {
  const lines: string[] = [];
  for (const event of events) {
    if (event.kind === 'text') lines.push(`text ${event.text}`);
    else if (event.kind === 'call-opened') lines.push(`open ${event.index} ${event.tool.name}`);
    else if (event.kind === 'arguments') lines.push(`delta ${event.index} ${event.delta}`);
    else if (event.kind === 'call-closed') lines.push(`close ${event.index} ${event.arguments}`);
    else lines.push(`broken ${event.index} ${event.raw}`);
  }
  const joined: string[] = [];
  for (const line of lines) {
    const head = /^(text|delta \d+) /.exec(line)?.[0];
    if (head !== undefined && joined.at(-1)?.startsWith(head))
      joined.push(joined.pop() + line.slice(head.length));
    else joined.push(line);
  }
  return joined;
}

const call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bonn"}}\n</tool_call>';

describe('Hermes', () => {
  test('text before a call stays text, the white space between goes', () => {
    expect(outline(parse([`Let me look.\n\n${call}`]))).toEqual([
      'text Let me look.',
      'open 0 weather',
      'delta 0 {"city": "Bonn"}',
      'close 0 {"city": "Bonn"}',
    ]);
  });

  test('a call closes with the piece that closes its arguments, before its tag does', () => {
    const parser = new CallParser(tools, hermes);
    expect(parser.push('<tool_call>\n{"name": "weather", "arguments": {"city": "B')).toHaveLength(2);
    expect(parser.push('"}').at(-1)).toEqual({ kind: 'call-closed', index: 0, arguments: '{"city": "B"}' });
  });

  test('parallel calls are numbered', () => {
    const kinds = parse([`${call}\n${call}`]).map(
      (event) => `${event.kind} ${'index' in event ? event.index : ''}`,
    );
    expect(kinds).toEqual([
      'call-opened 0',
      'arguments 0',
      'call-closed 0',
      'call-opened 1',
      'arguments 1',
      'call-closed 1',
    ]);
  });

  test('however the text is cut, the events say the same', () => {
    const answer = `Ä text <tool\n${call}\n<tool_call>{"name":"apply_patch","arguments":{"input":"*** Begin\\n+\\"\\u00e9\\ud83d\\ude42\\\\"}}</tool_call>`;
    const whole = outline(parse([answer]));
    expect(whole).toContain('close 1 *** Begin\n+"é🙂\\');
    fc.assert(
      fc.property(fc.array(fc.nat(answer.length), { maxLength: 40 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), answer.length];
        expect(outline(parse(at.slice(1).map((end, i) => answer.slice(at[i], end))))).toEqual(whole);
      }),
    );
  });

  test('keys in another order are understood once the object is whole', () => {
    const turned = '<tool_call>{"arguments": {"city": "Bonn"}, "name": "weather"}</tool_call>';
    expect(outline(parse([...turned]))).toEqual([
      'open 0 weather',
      'delta 0 {"city":"Bonn"}',
      'close 0 {"city":"Bonn"}',
    ]);
  });

  test.each(['<tool_call>{"name": "wea', '<tool_call>\n', '<tool_call>'])(
    'what is there of a call without its name is told to nobody: %j',
    (answer) => {
      expect(outline(parse([...answer]))).toEqual([]);
    },
  );

  test.each([
    '<tool_call>no JSON</tool_call> and so on',
    '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
    '<tool_call>{"name": "weather"}</tool_call>',
    'a < b <tool_cal',
    '  \n',
    'plain text',
  ])('what is no call comes out as text: %j', (answer) => {
    expect(outline(parse([...answer]))).toEqual([`text ${answer}`]);
  });

  test('a call that is cut off is reported with all that was written', () => {
    const cut = '<tool_call>{"name": "weather", "arguments": {"city": "Bo';
    expect(outline(parse([...cut])).at(-1)).toBe(`broken 0 ${cut}`);
  });

  test('arguments that are not JSON break their call', () => {
    const bad = '<tool_call>{"name": "weather", "arguments": {city: 1}}</tool_call>';
    expect(outline(parse([...bad]))[2]).toBe(
      'broken 0 <tool_call>{"name": "weather", "arguments": {city: 1}',
    );
  });

  test('text after a call is text again', () => {
    expect(outline(parse([`${call}\nDone.`])).at(-1)).toBe('text \nDone.');
  });
});

describe('Llama 3', () => {
  test('an answer that begins with an object is a call', () => {
    const events = outline(parse([...'{"name": "weather", "parameters": {"city": "Bonn"}}'], llama3));
    expect(events).toEqual(['open 0 weather', 'delta 0 {"city": "Bonn"}', 'close 0 {"city": "Bonn"}']);
  });

  test('calls may be separated by semicolons or line breaks', () => {
    const one = '{"name": "weather", "parameters": {}}';
    const closed = parse([...`${one}; ${one}\n${one}`], llama3).filter(({ kind }) => kind === 'call-closed');
    expect(closed).toHaveLength(3);
  });

  test.each(['Sure: {"name": "weather", "parameters": {}}', '{"some": "JSON"}', '{ function'])(
    'anything else is text: %j',
    (answer) => {
      expect(outline(parse([...answer], llama3))).toEqual([`text ${answer}`]);
    },
  );
});
