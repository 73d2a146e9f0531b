import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { ChatTemplate } from '../../../../models/template/chat-template.ts';
import { commonMarks } from '../../../../models/template/reasoning-marks.ts';
import { plainReader } from '../../../../server/chat/answer-reader.ts';
import { ReasoningReader } from '../../../../server/chat/reasoning-reader.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { httpServer, wholeByteModel } from '../../../http-world.ts';
import { MemoryTransport } from '../../../memory-transport.ts';

function read(pieces: readonly string[], open = false) {
  let reasoning = '';
  let answer = '';
  const parts = {
    reasoning: (text: string) => {
      reasoning += text;
    },
    text: (text: string) => {
      answer += text;
    },
  };
  const reader = new ReasoningReader({ marks: commonMarks, open }, parts, plainReader(parts));
  for (const text of pieces) reader.push({ text });
  reader.end(true);
  return { reasoning, answer };
}

describe('what is reasoning and what is answer', () => {
  test.each<[string, boolean, string, string, string]>([
    ['marks and white space are left out', false, '<think>\nhm </think>\n\nYes.', 'hm', 'Yes.'],
    ['the prompt may have opened it', true, '\nhm\n</think>\nYes.', 'hm', 'Yes.'],
    ['the model may open it once more', true, '<think>hm</think>Yes.', 'hm', 'Yes.'],
    ['an empty one', true, '\n</think>\n\nYes.', '', 'Yes.'],
    ['no marks', false, '  Yes. <think>no</think>', '', '  Yes. <think>no</think>'],
    ['cut within', false, '<think>hm, so', 'hm, so', ''],
    ['cut within the closing mark', false, '<think>hm </thi', 'hm', ''],
    ['cut within the opening mark', false, '<thi', '', ''],
    ['a smaller mark', false, '<th>Yes.', '', '<th>Yes.'],
    ['a mark within', false, '<think>a <think> b</think>c', 'a <think> b', 'c'],
  ])('%s', (_, open, text, reasoning, answer) => {
    expect(read([text], open)).toEqual({ reasoning, answer });
    expect(read([...text], open)).toEqual({ reasoning, answer });
  });

  test('does not depend on where the text is cut', () => {
    const piece = fc.constantFrom('<think>', '</think>', '<', 'th', '>', ' ', '\n', 'x', '</thi');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, open) => {
        expect(read(pieces, open)).toEqual(read([pieces.join('')], open));
      }),
    );
  });
});

const template = `{%- for message in messages %}{{ message.role + ': ' + message.content + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}assistant: {% if opened is defined %}{{ '<think>\\n' }}{% endif %}{% endif %}{# </think> #}`;

async function world(says: string) {
  const clock = new VirtualClock();
  const server = httpServer({
    clock,
    app: { model: { ...wholeByteModel, chatTemplate: ChatTemplate.parse(template) } },
    engine: { script: () => ({ tokens: [...encodeBytes(says), BYTE_EOS] }) },
  });
  const transport = new MemoryTransport({ clock, kernelSizeMax: 100_000 });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  const post = (path: string, body: object) => {
    const call = transport.call({ method: 'POST', path, body });
    clock.run();
    return call;
  };
  /** Lets what waits for its turn go on: a schema is compiled in pieces. */
  const settle = async () => {
    for (let turn = 0; turn < 100; turn++) {
      await Promise.resolve();
      clock.run();
    }
  };
  return { ...server, post, settle };
}

const chat = (more: object = {}) => ({ messages: [{ role: 'user', content: 'Sure?' }], ...more });

type Chunk = { choices: { delta: Record<string, string> }[]; usage?: object };

function chunksOf(text: string): Chunk[] {
  const lines = text.split('\n').filter((line) => line.startsWith('data: {'));
  return lines.map((line) => JSON.parse(line.slice(6)) as Chunk);
}

describe('chat', () => {
  test('has it beside the content, counted', async () => {
    const { post } = await world('<think>\nhm\n</think>\n\nYes.');
    const answer = post('/v1/chat/completions', chat()).json;
    expect(answer).toMatchObject({
      choices: [{ message: { content: 'Yes.', reasoning_content: 'hm' }, finish_reason: 'stop' }],
      usage: { completion_tokens_details: { reasoning_tokens: 4 } },
    });
  });

  test('streams it first', async () => {
    const { post } = await world('hm</think>Yes.');
    const stream = post(
      '/v1/chat/completions',
      chat({ stream: true, chat_template_kwargs: { opened: true } }),
    );
    const chunks = chunksOf(stream.text);
    const said = (name: string) => chunks.map(({ choices }) => choices[0]?.delta[name] ?? '').join('');
    expect([said('reasoning_content'), said('content')]).toEqual(['hm', 'Yes.']);
    expect(chunks.at(-1)!.usage).toMatchObject({ completion_tokens_details: { reasoning_tokens: 3 } });
  });

  test.each([{ separate_reasoning: false }, { reasoning_format: 'none' }])(
    'leaves it where %o says so',
    async (off) => {
      const { post } = await world('<think>hm</think>Yes.');
      expect(post('/v1/chat/completions', chat(off)).json).toMatchObject({
        choices: [{ message: { content: '<think>hm</think>Yes.' } }],
      });
    },
  );
});

test('a schema holds from the end of opened reasoning on', async () => {
  const { post, submitted, settle } = await world('hm</think>7');
  const schema = { type: 'json_schema', json_schema: { name: 'n', schema: { const: 7 } } };
  const ask = chat({ response_format: schema, chat_template_kwargs: { opened: true } });
  const call = post('/v1/chat/completions', ask);
  await settle();
  expect(call.status === 0 || call.status === 200).toBe(true);
  const constraint = submitted[0]?.constraint;
  if (constraint == null) throw new Error('no constraint reached the engine');
  const allows = (text: string) => {
    const [id] = encodeBytes(text);
    return ((constraint.mask()![id! >>> 5]! >>> (id! & 31)) & 1) === 1;
  };
  const stop = () => ((constraint.mask()![BYTE_EOS >>> 5]! >>> (BYTE_EOS & 31)) & 1) === 1;
  expect([allows('h'), allows('7'), stop()]).toEqual([true, true, false]);
  for (const id of encodeBytes('hm</think>')) constraint.accept(id);
  expect([allows('h'), allows('7'), stop()]).toEqual([false, true, false]);
  constraint.accept(encodeBytes('7')[0]!);
  expect(stop()).toBe(true);
});

test('Responses have it as an item of its own, before the message', async () => {
  const { post } = await world('<think>hm</think>Yes.');
  const whole = post('/v1/responses', { input: 'Sure?' }).json as { output: unknown };
  expect(whole).toMatchObject({
    output: [
      {
        type: 'reasoning',
        status: 'completed',
        summary: [],
        content: [{ type: 'reasoning_text', text: 'hm' }],
      },
      { type: 'message', status: 'completed', content: [{ type: 'output_text', text: 'Yes.' }] },
    ],
    usage: { output_tokens_details: { reasoning_tokens: 4 } },
  });
  const { text } = post('/v1/responses', { input: 'Sure?', stream: true });
  const events = [...text.matchAll(/^event: (.*)$/gm)].map(([, type]) => type);
  const kinds = events.filter((type, index) => type !== events[index - 1]);
  expect(kinds.slice(2, 11)).toEqual([
    ...['response.output_item.added', 'response.content_part.added', 'response.reasoning_text.delta'],
    ...['response.reasoning_text.done', 'response.content_part.done', 'response.output_item.done'],
    ...['response.output_item.added', 'response.content_part.added', 'response.output_text.delta'],
  ]);
});
