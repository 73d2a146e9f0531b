// The linter: conversations whose prefix holds, and the usual ways in which it breaks, each told by place, reason and cost.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readConversations } from '../../../../loadtest/agents/conversation-file.ts';
import { lint } from '../../../../loadtest/agents/lint.ts';
import { lintTable } from '../../../../loadtest/agents/lint-table.ts';
import { segmentsOf } from '../../../../loadtest/agents/prompt-segments.ts';
import { Recording } from '../../../../loadtest/agents/recording.ts';
import { agentSessions } from '../../../../loadtest/workload/trace-agent-sessions.ts';
import type { PlannedSession } from '../../../../loadtest/workload/turn.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const words = (seed: string, count: number) =>
  Array.from({ length: count }, (_, at) => `${seed}${at}`).join(' ');
const SYSTEM = words('rule', 400);
const tool = (name: string) => ({
  type: 'function',
  function: { name, description: words(name, 60), parameters: {} },
});
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const chat = (messages: readonly object[], more: object = {}) => ({
  messages: [{ role: 'system', content: SYSTEM }, ...messages],
  tools: [tool('read'), tool('write')],
  ...more,
});
const turns = [
  user(words('ask', 300)),
  assistant(words('say', 200)),
  user(words('then', 100)),
  assistant('done'),
  user('thanks a lot'),
];

function lintOf(...bodies: readonly object[]) {
  const recording = new Recording();
  for (const [at, body] of bodies.entries()) {
    const silent = { promptTokens: null, cachedTokens: null, outputTokens: 7 };
    recording.add({ body, startMs: at * 1000, endMs: at * 1000 + 400, ...silent });
  }
  return { report: lint(recording.sessions), recording };
}

test('a conversation that only grows breaks nowhere', () => {
  const { report } = lintOf(chat(turns.slice(0, 1)), chat(turns.slice(0, 3)), chat(turns));
  expect(report).toMatchObject({ sessions: 1, requests: 3, lostTokens: 0, breaks: [] });
  expect(report.cacheableTokens / report.idealTokens).toBeGreaterThan(0.95);
});

test.each([
  [
    'a clock in the system prompt',
    { messages: [{ role: 'system', content: `It is 2026-11-29 12:00:01. ${SYSTEM}` }, ...turns.slice(0, 3)] },
    /system prompt changed; it has a time of day and a date/,
  ],
  ['tools in another order', { tools: [tool('write'), tool('read')] }, /list of tools changed/],
  ['no tools', { tools: [] }, /tools were added or taken away/],
  [
    'a rewritten message',
    {
      messages: [
        { role: 'system', content: SYSTEM },
        user(words('ask', 300)),
        assistant(words('other', 200)),
        user(words('then', 100)),
      ],
    },
    /message 3 \(assistant\) was rewritten/,
  ],
])('%s is named with what it costs', (_, changes, why) => {
  const { report } = lintOf(chat(turns.slice(0, 3)), chat(turns.slice(0, 3), changes));
  expect(report.sessions).toBe(1);
  expect(report.breaks).toHaveLength(1);
  expect(report.breaks[0]!.why).toMatch(why);
  expect(report.lostTokens).toBeGreaterThan(200);
  expect(lintTable(report, { perMillion: 2, prefillPerSecond: 100 })).toMatch(
    /lost .* computed again: .* s of waiting, .* of money/,
  );
});

test('a history that was cut is told as such, and stays the same conversation', () => {
  const { report } = lintOf(chat(turns), chat([...turns.slice(2), user('and now something else')]));
  expect(report.sessions).toBe(1);
  expect(report.breaks[0]!.why).toMatch(/message 2 .*(cut|rewritten)|history was cut from message 2/);
});

test('a sub-agent is a conversation of its own', () => {
  const other = { messages: [{ role: 'system', content: SYSTEM }, user(words('sub', 50))], tools: [] };
  const { report } = lintOf(chat(turns.slice(0, 1)), other, chat(turns.slice(0, 3)));
  expect(report).toMatchObject({ sessions: 2, breaks: [] });
});

test('all protocols have the same parts; what clients number anew is none', () => {
  const kinds = (body: object) => segmentsOf(body)?.map(({ kind }) => kind) ?? null;
  expect(
    kinds({
      system: 's',
      tools: [{}],
      messages: [
        user('a'),
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: '1', content: 'x' }] },
      ],
    }),
  ).toEqual(['tools', 'system', 'user', 'tool']);
  expect(
    kinds({
      instructions: 's',
      input: [
        { role: 'user', content: [{ type: 'input_text', text: 'a' }] },
        { type: 'function_call', call_id: '1', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: '1', output: 'x' },
      ],
    }),
  ).toEqual(['system', 'user', 'assistant', 'tool']);
  expect(kinds({ prompt: 'a' })).toEqual(['user']);
  expect(kinds({ model: 'x' })).toBeNull();
  const call = (id: string) =>
    segmentsOf({ input: [{ type: 'function_call', call_id: id, name: 'f', arguments: '{}' }] });
  expect(call('a')).toEqual(call('b'));
});

test('a recording has no text, is read again, and is played by the load tester', () => {
  const { recording, report } = lintOf(chat(turns.slice(0, 1)), chat(turns.slice(0, 3)), chat(turns));
  expect(recording.text).not.toMatch(/rule1|ask1|read|thanks/);
  const path = join(temporaryDirectory(), 'recording.jsonl');
  writeFileSync(path, recording.text);
  expect(lint(readConversations(path))).toEqual(report);
  const played = agentSessions({
    path,
    seed: 1,
    scale: 1,
    contextTokens: 100_000,
    gapScale: 1,
    gapMsMax: 60_000,
  });
  const session = played.sessions().next().value as PlannedSession;
  expect(session.turns.map(({ reset, gapMs, maxTokens }) => [reset, gapMs, maxTokens])).toEqual([
    [false, 0, 7],
    [false, 600, 7],
    [false, 600, 7],
  ]);
  writeFileSync(path, `${JSON.stringify(chat(turns))}\n\n${JSON.stringify({ model: 'x' })}\n`);
  expect(() => readConversations(path)).toThrow(/line 3: neither a recorded session nor a request/);
});
