// What editing, steering, stopping and tools make of a conversation, and of the request that follows.
import { describe, expect, test } from 'vitest';
import {
  chatBody,
  defaultSettings,
  messagesOfRounds,
  RequestError,
  readSchema,
} from '../../../../server/ui/page/chat-request.ts';
import * as talk from '../../../../server/ui/page/conversation.ts';
import { schemaOf } from '../../../../server/ui/page/schema-form.ts';

const said = (conversation: talk.Conversation) =>
  conversation.turns.map(({ role, text, state }) => `${role} ${state}: ${text}`);

function answered(text: string, reply: string, before = talk.emptyConversation): talk.Conversation {
  return talk.settle(talk.write(talk.ask(before, text), { text: reply }), 'done');
}

describe('a conversation', () => {
  test('a word said while an answer is written keeps what was said so far and asks for more', () => {
    const running = talk.write(talk.ask(talk.emptyConversation, 'Count.'), { text: 'One, two' });
    const steered = talk.steer(running, 'In French.');
    expect(said(steered)).toEqual([
      'user done: Count.',
      'assistant steered: One, two',
      'user done: In French.',
      'assistant writing: ',
    ]);
    expect(steered.turns[2]!.steering).toBe(true);
    expect(messagesOfRounds(steered, defaultSettings)).toEqual([
      { role: 'user', content: 'Count.' },
      { role: 'assistant', content: 'One, two' },
      { role: 'user', content: 'In French.' },
    ]);
  });

  test('steering before the first word leaves no empty answer', () => {
    const steered = talk.steer(talk.ask(talk.emptyConversation, 'Count.'), 'In French.');
    expect(said(steered)).toEqual(['user done: Count.', 'user done: In French.', 'assistant writing: ']);
  });

  test('an edited turn takes all that came after it away', () => {
    const two = answered('B?', 'b', answered('A?', 'a'));
    const edited = talk.edit(two, two.turns[0]!.id, 'C?');
    expect(said(edited)).toEqual(['user done: C?', 'assistant writing: ']);
    expect(talk.edit(two, 999, 'C?')).toBe(two);
  });

  test('another answer takes the place of the one before', () => {
    const two = answered('B?', 'b', answered('A?', 'a'));
    const again = talk.regenerate(two, two.turns[3]!.id);
    expect(said(again)).toEqual([
      'user done: A?',
      'assistant done: a',
      'user done: B?',
      'assistant writing: ',
    ]);
    expect(new Set(again.turns.map(({ id }) => id)).size).toBe(4);
  });

  test('what is written after its end goes nowhere', () => {
    const done = answered('A?', 'a');
    expect(talk.write(done, { text: 'b' })).toBe(done);
    expect(talk.settle(done, 'failed')).toBe(done);
  });

  test('calls wait for their results, which go back in the order of the calls', () => {
    const call = { id: 'call_1', name: 'read_file', arguments: '{"path":"a"}' };
    const asked = talk.write(talk.ask(talk.emptyConversation, 'Read a.'), { calls: [call] });
    expect(talk.openCalls(asked)).toEqual([]);
    const calling = talk.settle(asked, 'done');
    expect(talk.openCalls(calling)).toEqual([call]);
    const given = talk.answerCalls(calling, new Map([['call_1', 'text of a']]));
    expect(messagesOfRounds(given, defaultSettings).slice(1)).toEqual([
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'read_file', arguments: '{"path":"a"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: 'text of a' },
    ]);
  });
});

describe('a request', () => {
  const asking = talk.ask(talk.emptyConversation, 'Hi');

  test('says only what somebody has set', () => {
    expect(chatBody(asking, defaultSettings)).toEqual({
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 512,
    });
  });

  test('brings sampling, form, tools and the file', () => {
    const body = chatBody(asking, {
      ...defaultSettings,
      model: 'spark',
      system: 'Be brief.',
      sampling: { ...defaultSettings.sampling, temperature: '0.5', seed: '7', stop: 'END\n\nSTOP' },
      form: 'schema',
      tools: [
        {
          name: 'look',
          description: 'looks',
          parameters: { raw: true, fields: [], text: '{"type":"object"}' },
        },
      ],
      file: { name: 'a.ts', text: 'let a;' },
      sendFile: true,
    });
    expect(body).toMatchObject({
      model: 'spark',
      temperature: 0.5,
      seed: 7,
      stop: ['END', 'STOP'],
      tool_choice: 'auto',
      tools: [
        {
          type: 'function',
          function: { name: 'look', description: 'looks', parameters: { type: 'object' } },
        },
      ],
      prediction: { type: 'content', content: 'let a;' },
      response_format: { type: 'json_schema', json_schema: { schema: { required: ['answer'] } } },
    });
    expect(body['messages']).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'a.ts:\n```\nlet a;\n```\n\nHi' },
    ]);
  });

  test('that cannot be sent says why', () => {
    const sampling = { ...defaultSettings.sampling, topK: 'many' };
    expect(() => chatBody(asking, { ...defaultSettings, sampling })).toThrow(RequestError);
    const nameless = { name: '', description: '', parameters: defaultSettings.schema };
    expect(() => chatBody(asking, { ...defaultSettings, tools: [nameless] })).toThrow(/name/);
    expect(() => readSchema({ raw: true, fields: [], text: '[' }, 'The schema')).toThrow(/The schema/);
    expect(() => readSchema({ raw: true, fields: [], text: '[]' }, 'The schema')).toThrow(/object/);
  });

  test('a schema is put together from the fields that have a name', () => {
    const field = { type: 'string', required: true, description: '', options: '' } as const;
    expect(
      schemaOf([
        { ...field, name: ' city ' },
        { ...field, name: 'tags', type: 'string[]', required: false, description: 'a few' },
        { ...field, name: 'size', type: 'choice', options: 's, m,' },
        { ...field, name: '' },
      ]),
    ).toEqual({
      type: 'object',
      properties: {
        city: { type: 'string' },
        tags: { type: 'array', items: { type: 'string' }, description: 'a few' },
        size: { type: 'string', enum: ['s', 'm'] },
      },
      required: ['city', 'size'],
      additionalProperties: false,
    });
  });
});
