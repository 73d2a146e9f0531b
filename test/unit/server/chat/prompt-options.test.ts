import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { ChatTemplate } from '../../../../models/template/chat-template.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { type HttpWorldOptions, httpServer, wholeByteModel } from '../../../http-world.ts';
import { MemoryTransport } from '../../../memory-transport.ts';

const template = ChatTemplate.parse(`{%- for message in messages %}
{%- if message.role in ['system', 'user', 'assistant'] %}{{ message.role + ': ' + message.content + '<|end|>' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'assistant: ' }}
{%- if enable_thinking is defined and not enable_thinking %}{{ '<think></think>' }}{% endif %}{% endif %}`);

async function world(options: Omit<HttpWorldOptions, 'clock'> = {}) {
  const clock = new VirtualClock();
  const server = httpServer({
    clock,
    app: { model: { ...wholeByteModel, chatTemplate: template } },
    engine: { script: () => ({ tokens: [...encodeBytes('Yes.'), BYTE_EOS] }), cachedTokens: 16 },
    ...options,
  });
  const transport = new MemoryTransport({ clock, kernelSizeMax: 1000 });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  const post = (path: string, body: object) => {
    const call = transport.call({ method: 'POST', path, body });
    clock.run();
    return call;
  };
  const get = (path: string) => {
    const call = transport.call({ method: 'GET', path });
    clock.run();
    return call;
  };
  const prompts = () =>
    server.submitted.map(({ tokens }) => Buffer.from(tokens.filter((id) => id < 256)).toString());
  return { ...server, post, get, prompts };
}

const counting = [
  { role: 'user', content: 'Count.' },
  { role: 'assistant', content: 'One, ' },
];
const asking = counting.slice(0, 1);

describe('a prompt', () => {
  test('goes on within the last message, and ends there on every route that shows it', async () => {
    const { post, prompts } = await world();
    const how = { messages: counting, continue_final_message: true };
    expect(post('/v1/chat/completions', how).status).toBe(200);
    expect(prompts()).toEqual(['user: Count.assistant: One, ']);
    const { count } = post('/tokenize', how).json as { count: number };
    expect(count).toBe('user: Count.assistant: One, '.length + 1);
    expect(post('/tokenize', { ...how, add_generation_prompt: true }).status).toBe(400);
  });

  test.each<[string, object, string | null]>([
    [
      'both ends',
      { messages: counting, continue_final_message: true, add_generation_prompt: true },
      'continue_final_message',
    ],
    ['a user’s message to be continued', { messages: asking, continue_final_message: true }, 'messages[0]'],
    [
      'a variable that nobody reads',
      { messages: asking, chat_template_kwargs: { colour: 1 } },
      'chat_template_kwargs.colour',
    ],
    [
      'a role that is left out',
      { messages: [...asking, { role: 'weird', content: 'x' }] },
      'messages[1].role',
    ],
    ['an effort of no kind', { messages: asking, reasoning_effort: 'much' }, 'reasoning_effort'],
  ])('with %s is refused', async (_, body, param) => {
    const { post } = await world();
    const call = post('/v1/chat/completions', body);
    expect([call.status, (call.json as { error: { param: string } }).error.param]).toEqual([400, param]);
  });

  test('takes the template’s switches, by their name, by effort, in either API', async () => {
    const { post, prompts } = await world();
    post('/v1/chat/completions', { messages: asking, chat_template_kwargs: { enable_thinking: false } });
    post('/v1/chat/completions', { messages: asking, enable_thinking: false });
    post('/v1/chat/completions', { messages: asking, reasoning_effort: 'none' });
    post('/v1/responses', { input: 'Count.', reasoning: { effort: 'none' } });
    post('/v1/chat/completions', { messages: asking, reasoning_effort: 'high' });
    const off = 'user: Count.assistant: <think></think>';
    expect(prompts()).toEqual([off, off, off, off, 'user: Count.assistant: ']);
  });
});

test('a model that always reasons does not take "none"', async () => {
  const always = ChatTemplate.parse(
    '{{ messages[0].content }}{% if add_generation_prompt %}<think>{% endif %}{# </think> #}',
  );
  const { post } = await world({ app: { model: { ...wholeByteModel, chatTemplate: always } } });
  const call = post('/v1/chat/completions', { messages: asking, reasoning_effort: 'none' });
  expect([call.status, (call.json as { error: { param: string } }).error.param]).toEqual([
    400,
    'reasoning_effort',
  ]);
});

test('the model answers to its aliases, which are listed, and says the name it was called by', async () => {
  const { post, get } = await world({ flags: { aliases: ['gpt-4o-mini', 'fast'] } });
  const listed = (get('/v1/models').json as { data: { id: string }[] }).data.map(({ id }) => id);
  expect(listed).toEqual(['bytes', 'gpt-4o-mini', 'fast']);
  expect((get('/v1/models/fast').json as { id: string }).id).toBe('fast');
  for (const [path, body] of [
    ['/v1/chat/completions', { messages: asking }],
    ['/v1/completions', { prompt: 'a' }],
    ['/v1/responses', { input: 'a' }],
  ] as const) {
    expect(post(path, { ...body, model: 'fast' }).json).toMatchObject({ model: 'fast' });
    expect(post(path, body).json).toMatchObject({ model: 'bytes' });
    expect(post(path, { ...body, model: 'other' }).status).toBe(404);
  }
});

test('the server’s sampling goes before the model’s, the request’s before the server’s', async () => {
  const { post, submitted } = await world({ flags: { temperature: '0.1', topK: 5, minP: 0.2 } });
  post('/v1/chat/completions', { messages: asking });
  post('/v1/chat/completions', { messages: asking, temperature: 1, top_k: 0, min_p: 0 });
  expect(submitted[0]!.sampling).toMatchObject({ temperature: 0.1, topK: 5, minP: 0.2, topP: 0.95 });
  expect(submitted[1]!.sampling).toMatchObject({ temperature: 1, topK: 0, minP: 0, topP: 0.95 });
});

test('n_predict bounds a chat; a prompt far too long says how long it is at least', async () => {
  const { post } = await world();
  const cut = post('/v1/chat/completions', { messages: asking, n_predict: 2 }).json;
  expect(cut).toMatchObject({ choices: [{ finish_reason: 'length', message: { content: 'Ye' } }] });
  const long = post('/v1/chat/completions', { messages: [{ role: 'user', content: 'x'.repeat(400_000) }] });
  expect((long.json as { error: { message: string } }).error.message).toMatch(
    /more than \d+ tokens .* length is \d+ tokens/,
  );
});

test('each answer leaves one line in the log, with numbers and no text', async () => {
  const { post, logLines } = await world();
  post('/v1/chat/completions', { messages: asking, n: 2 });
  post('/v1/responses', { input: 'Count.' });
  post('/infill', { input_prefix: 'Count.' });
  const lines = logLines.map((line) => JSON.parse(line)).filter(({ message }) => message === 'answer');
  expect(lines.map(({ route }) => route)).toEqual(['/v1/chat/completions', '/v1/responses', '/infill']);
  expect(lines[0]).toMatchObject({
    ...{
      level: 'info',
      model: 'bytes',
      promptTokens: 24,
      cachedTokens: 16,
      outputTokens: 10,
      finish: 'stop',
    },
    ...{ ttftMs: expect.any(Number), totalMs: expect.any(Number) },
  });
  expect(logLines.join('')).not.toMatch(/Count|Yes/);
});
