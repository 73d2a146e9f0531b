// What blocks say to the model, which turns they make, and how a client's own name of its conversation is found.
import { describe, expect, test } from 'vitest';
import { conversationOf } from '../../../../server/messages/conversation.ts';
import { countSchema } from '../../../../server/messages/schema.ts';
import { sessionNameOf } from '../../../../server/messages/session-name.ts';

function read(messages: readonly object[], system?: unknown) {
  const outcome = conversationOf(countSchema.parse({ messages, system }));
  if (!outcome.ok) throw new Error(outcome.fault.message);
  return outcome.value;
}

const text = (said: string) => ({ type: 'text', text: said });
const use = (id: string) => ({ type: 'tool_use', id, name: 'shell', input: { a: 1 } });
const called = (id: string) => ({ id, type: 'function', function: { name: 'shell', arguments: { a: 1 } } });

describe('a conversation', () => {
  test('of Claude Code: system blocks, reminders, thinking, calls and their results', () => {
    const { messages, continues } = read(
      [
        { role: 'user', content: [text('<system-reminder>'), text('Do it')] },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: 'x' },
            { type: 'redacted_thinking', data: 'x' },
            text('Looking.'),
            use('t1'),
            use('t2'),
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 't1', content: [text('one'), { type: 'image', source: {} }] },
            { type: 'tool_result', tool_use_id: 't2', content: 'no such file', is_error: true },
            text('And?'),
          ],
        },
      ],
      [
        text('x-anthropic-billing-header: cch=12345;'),
        { ...text('You are'), cache_control: {} },
        text('an agent.'),
      ],
    );
    expect(continues).toBe(false);
    expect(messages).toEqual([
      { role: 'system', content: 'You are\n\nan agent.' },
      { role: 'user', content: '<system-reminder>\nDo it' },
      {
        role: 'assistant',
        content: 'Looking.',
        reasoning_content: 'hm',
        tool_calls: [called('t1'), called('t2')],
      },
      {
        role: 'tool',
        tool_call_id: 't1',
        name: 'shell',
        content: 'one\n[an image that this model cannot see]',
      },
      { role: 'tool', tool_call_id: 't2', name: 'shell', content: 'Error: no such file' },
      { role: 'user', content: 'And?' },
    ]);
  });

  test('has one turn where neighbours are of one role', () => {
    const { messages } = read([
      { role: 'user', content: 'one' },
      { role: 'user', content: [text('two')] },
    ]);
    expect(messages).toEqual([{ role: 'user', content: 'one\ntwo' }]);
  });

  test.each([
    [{ type: 'document', title: 'T', source: { type: 'text', data: 'D' } }, 'T\nD'],
    [{ type: 'document', source: { type: 'content', content: [text('D')] } }, 'D'],
    [{ type: 'document', source: { type: 'base64', data: 'x' } }, '[a document that this model cannot read]'],
    [{ type: 'search_result', title: 'T', source: 's', content: [text('D')] }, 'T\nD'],
    [{ type: 'image', source: { type: 'base64', data: 'x' } }, '[an image that this model cannot see]'],
    [{ type: 'block_of_tomorrow' }, '[block_of_tomorrow: not for this model to read]'],
  ])('tells of %j', (block, content) => {
    expect(read([{ role: 'user', content: [block] }]).messages).toEqual([{ role: 'user', content }]);
  });

  test('goes on from what the assistant has begun, not from an empty beginning', () => {
    const user = { role: 'user', content: 'x' };
    expect(read([user, { role: 'assistant', content: 'Well' }]).continues).toBe(true);
    const { messages, continues } = read([user, { role: 'assistant', content: [] }]);
    expect([messages.length, continues]).toEqual([1, false]);
  });
});

test.each([
  [{}, null, null],
  [{}, 'somebody', null],
  [{}, 'user_1_account_2_session_0a-1b', '0a-1b'],
  [{}, '{"device_id":"d","session_id":"0a-1b"}', '0a-1b'],
  [{ 'x-claude-code-session-id': 's' }, 'user_1_account_2_session_0a', 's'],
])('with headers %j and user_id %j a conversation is called %j', (headers, userId, name) => {
  const header = (key: string) => (headers as Readonly<Record<string, string>>)[key] ?? '';
  expect(sessionNameOf({ header }, userId)).toBe(name);
});
