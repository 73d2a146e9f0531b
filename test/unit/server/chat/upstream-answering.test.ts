// What an upstream has said, as the events that every dialect hears.
import { expect, test } from 'vitest';
import type { AnswerEvents } from '../../../../server/chat/answer-reader.ts';
import { type ToolSet, toolSetOf } from '../../../../server/chat/tool-set.ts';
import { upstreamReader } from '../../../../server/chat/upstream-answering.ts';
import type { AnswerEvent } from '../../../../server/generation/generation.ts';

const tools = toolSetOf(
  [
    [
      { type: 'function', function: { name: 'look', parameters: { type: 'object' } } },
      { type: 'custom', custom: { name: 'patch' } },
    ],
  ],
  { choice: 'auto', parallel: true },
);

function heard(events: readonly AnswerEvent[], { callable }: ToolSet = tools): readonly string[] {
  const said: string[] = [];
  const sink: AnswerEvents = {
    reasoning: (text) => said.push(`reasoning ${text}`),
    text: (text) => said.push(`text ${text}`),
    callStart: ({ wireName }) => said.push(`call ${wireName}`),
    callDelta: (text) => said.push(`delta ${text}`),
    callEnd: (whole) => said.push(whole ? 'end' : 'broken'),
  };
  const reader = upstreamReader(callable, sink);
  for (const event of events) reader.push({ text: '', events: [event] });
  reader.end(false);
  return said;
}

const text = (piece: string) => ({ kind: 'text', text: piece }) as const;

test('reasoning told apart, text, and a call in pieces', () => {
  const events = [
    { kind: 'reasoning', text: 'hm' },
    text('I look.'),
    { kind: 'callStart', name: 'look' },
    { kind: 'callDelta', text: '{"a"' },
    { kind: 'callDelta', text: ':1}' },
    { kind: 'callEnd' },
  ] as const;
  expect(heard(events)).toEqual([
    'reasoning hm',
    'text I look.',
    'call look',
    'delta {"a"',
    'delta :1}',
    'end',
  ]);
});

test('marks of reasoning in the text are read, and end where something else begins', () => {
  expect(heard([text('<think>a'), text('b</think>\n\nYes')])).toEqual([
    'reasoning a',
    'reasoning b',
    'text Yes',
  ]);
  const events = [
    text('<think>a '),
    { kind: 'callStart', name: 'look' },
    { kind: 'callEnd' },
    text(' <think>'),
  ] as const;
  expect(heard(events)).toEqual(['reasoning a', 'reasoning  ', 'call look', 'end', 'text  <think>']);
});

test('what might have begun a mark is text once a call comes', () => {
  const events = [text(' <th'), { kind: 'callStart', name: 'look' }, { kind: 'callEnd' }] as const;
  expect(heard(events)).toEqual(['text  <th', 'call look', 'end']);
});

test("a custom tool's input is taken out of its function; a tool that was not offered keeps its name", () => {
  const patch = [
    { kind: 'callStart', name: 'patch' },
    { kind: 'callDelta', text: '{"input":"*** Be' },
    { kind: 'callDelta', text: 'gin"}' },
    { kind: 'callEnd' },
  ] as const;
  expect(heard(patch)).toEqual(['call patch', 'delta *** Begin', 'end']);
  expect(heard([{ kind: 'callStart', name: 'fly' }, { kind: 'callEnd' }])).toEqual(['call fly', 'end']);
});

test('a call without an end was cut off', () => {
  expect(
    heard([
      { kind: 'callStart', name: 'look' },
      { kind: 'callDelta', text: '{"a' },
    ]),
  ).toEqual(['call look', 'delta {"a', 'broken']);
});

test("private characters are nobody's frame", () => {
  expect(heard([text('a\ue0f0look\ue0f1{}\ue0f2b')])).toEqual(['text a\ue0f0look\ue0f1{}\ue0f2b']);
});
