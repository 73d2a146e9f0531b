// The packages of PyPI, unmodified: openai, anthropic and ollama, against a server that says what a test wants and against
// SmolLM2.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LocalServer } from '../../server/cli/local-server.ts';
import { startEmbeddedServer } from './embedded-server.ts';
import { PythonClients, pythonMissing } from './python-clients.ts';
import { call } from './scripted-calls.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

if (pythonMissing !== null) console.log(`skipped: ${pythonMissing}`);

const apiKey = 'a-key-of-python';
const trip = { city: 'Oslo', days: 2 };
const schema = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city', 'days'],
};

let python: PythonClients;

beforeAll(async () => {
  if (pythonMissing !== null) return;
  python = new PythonClients();
  await python.ready;
});

afterAll(() => python?.stop());

function say(prompt: string): string {
  if (prompt.includes('<|fim_middle|>')) return 'return a + b;';
  const question = prompt.slice(prompt.lastIndexOf('<|im_start|>user'));
  if (question.includes('<tool_response>')) return 'It is sunny.';
  if (question.includes('weather')) return call('weather', trip);
  if (question.includes('JSON')) return JSON.stringify(trip);
  return 'Hello there.';
}

describe.skipIf(pythonMissing !== null)('with a scripted model', () => {
  const model = 'spark-nano';
  let server: ScriptedServer;
  let guarded: ScriptedServer;

  beforeAll(async () => {
    server = await startScriptedServer({ say });
    guarded = await startScriptedServer({ say, flags: { apiKeys: [apiKey] } });
  });

  afterAll(async () => {
    await server?.stop();
    await guarded?.stop();
  });

  function run(name: string, keywords: Readonly<Record<string, unknown>> = {}) {
    return python.run(name, { url: server.url, model, ...keywords });
  }

  test('openai chats: whole, streamed, several at once, in the form of a class', async () => {
    const whole = await run('openai_cases.chat', { content: 'Hi' });
    expect(whole).toMatchObject({ text: 'Hello there.', finish: 'stop' });
    expect(whole.total).toBe(whole.prompt + whole.completion);
    const streamed = await run('openai_cases.chat_streamed', { content: 'Hi' });
    expect(streamed).toEqual({ text: 'Hello there.', finish: 'stop', completion: whole.completion });
    const contents = ['Hi', 'JSON', 'Hi'];
    const answers = ['Hello there.', JSON.stringify(trip), 'Hello there.'];
    expect(await run('openai_cases.chat_async', { contents })).toEqual(answers);
    expect(await run('openai_cases.chat_parsed', { content: 'JSON' })).toEqual(trip);
    expect(await run('openai_cases.completion', { prompt: 'Hi' })).toEqual(['Hello there.', 'Hello there.']);
  });

  test('openai calls tools and goes on from their results, over chat and Responses', async () => {
    const asked = { content: 'weather?', result: 'sun' };
    expect(await run('openai_cases.chat_tool', asked)).toEqual({
      ...{ finish: 'tool_calls', name: 'weather', arguments: trip, answer: 'It is sunny.' },
    });
    const answer = await run('openai_cases.responses_tool', asked);
    expect(answer).toEqual({ name: 'weather', arguments: trip, answer: 'It is sunny.' });
    expect(server.prompts.at(-1)).toContain('sun');
  });

  test('openai chains, streams, lists and deletes responses', async () => {
    const seen = await run('openai_cases.responses', { content: 'Hi', next_content: 'And?' });
    expect(seen).toEqual({
      texts: ['Hello there.', 'Hello there.'],
      types: ['response.created', 'response.completed'],
      ...{ status: 'completed', asked: 'Hi', gone: ['NotFoundError', 404, 'response_id'] },
    });
    expect(server.prompts.at(-1)).toMatch(/Hi[\s\S]*Hello there\.[\s\S]*And\?/);
    expect(await run('openai_cases.responses_parsed', { content: 'JSON' })).toEqual(trip);
  });

  test('openai raises its own errors', async () => {
    expect(await run('openai_cases.refusals')).toEqual({
      model: ['NotFoundError', 404, 'model'],
      bound: ['BadRequestError', 400, 'temperature'],
      empty: ['BadRequestError', 400, 'messages'],
      tool: ['BadRequestError', 400, 'tool_choice'],
      response: ['NotFoundError', 404, 'response_id'],
    });
    const keys = await python.run('openai_cases.wrong_key', { url: guarded.url, key: apiKey });
    expect(keys).toEqual([['AuthenticationError', 401, null], null]);
    expect(await python.run('openai_cases.models', { url: server.url })).toContain(model);
  });

  test('anthropic creates, streams, counts and parses', async () => {
    const content = 'Hi, as I have said before in just as many words as these are.';
    const whole = await run('anthropic_cases.message', { content });
    expect(whole).toMatchObject({ text: 'Hello there.', stop: 'end_turn' });
    expect(whole.counted).toBe(whole.usage.input + whole.usage.read + whole.usage.written);
    const streamed = await run('anthropic_cases.streamed', { content });
    expect(streamed).toMatchObject({ text: 'Hello there.', stop: 'end_turn' });
    expect(streamed.types).toEqual(
      expect.arrayContaining(['message_start', 'content_block_delta', 'message_stop', 'text']),
    );
    expect(streamed.usage.read).toBeGreaterThan(0);
    expect(await run('anthropic_cases.parsed', { content: 'JSON' })).toEqual(trip);
    const contents = ['Hi', 'JSON'];
    const answers = ['Hello there.', JSON.stringify(trip)];
    expect(await run('anthropic_cases.several', { contents })).toEqual(answers);
  });

  test('anthropic runs tools, by hand and by itself', async () => {
    const asked = { content: 'weather?', result: 'sun' };
    expect(await run('anthropic_cases.tool', asked)).toEqual({
      ...{ stop: 'tool_use', name: 'weather', input: trip, answer: 'It is sunny.' },
    });
    const answer = await run('anthropic_cases.tool_runner', asked);
    expect(answer).toEqual({ seen: [['Oslo', 2]], answer: 'It is sunny.' });
  });

  test('anthropic raises its own errors', async () => {
    const invalid = ['BadRequestError', 400, 'invalid_request_error', true];
    const unknown = ['NotFoundError', 404, 'not_found_error', true];
    const refused = await run('anthropic_cases.refusals');
    expect(refused).toEqual({ model: unknown, bound: invalid, empty: invalid, counted: unknown });
    const keys = await python.run('anthropic_cases.wrong_key', { url: guarded.url, key: apiKey });
    expect(keys).toEqual([['AuthenticationError', 401, 'authentication_error', true], null]);
    expect(await python.run('anthropic_cases.models', { url: server.url })).toContain(model);
  });

  test('ollama finds the model, chats, generates and fills in', async () => {
    const found = await run('ollama_cases.discovery');
    expect(found).toMatchObject({ names: [model], capabilities: ['completion', 'tools', 'insert'] });
    expect(found.context).toBeGreaterThan(1000);
    expect(found.running).toEqual([model]);
    const said = await run('ollama_cases.chat', { content: 'Hi' });
    expect(said).toMatchObject({ text: 'Hello there.', reason: 'stop', streamed: 'Hello there.', done: 1 });
    const generated = await run('ollama_cases.generate', { prompt: 'Hi', next_prompt: 'And now?' });
    expect(generated).toEqual(['Hello there.', 'Hello there.']);
    expect(server.prompts.at(-1)).toMatch(/Hi[\s\S]*Hello there\.[\s\S]*And now\?/);
    const hole = { prompt: 'function add(a, b) { ', suffix: ' }' };
    expect(await run('ollama_cases.filled', hole)).toBe('return a + b;');
    const several = await run('ollama_cases.several', { contents: ['Hi', 'JSON'] });
    expect(several).toEqual(['Hello there.', JSON.stringify(trip)]);
  });

  test('ollama calls Python functions, holds schemas, raises its own error', async () => {
    const asked = { content: 'weather?', result: 'sun in' };
    const answer = await run('ollama_cases.tool', asked);
    expect(answer).toEqual({ name: 'weather', arguments: trip, answer: 'It is sunny.' });
    expect(server.prompts.at(-1)).toContain('sun in Oslo 2');
    expect(JSON.parse(await run('ollama_cases.formatted', { content: 'JSON', schema }))).toEqual(trip);
    const notFound = [404, expect.stringContaining('not found')];
    expect(await run('ollama_cases.refusals')).toEqual({
      ...{ show: notFound, chat: notFound, streamed: notFound },
      think: [400, expect.stringContaining('thinking')],
      pull: [expect.any(Number), expect.stringContaining('sparklane pull acme/other')],
    });
  });
});

describe.skipIf(pythonMissing !== null)('with SmolLM2', () => {
  const model = 'smollm2-135m-instruct';
  const content = 'What is the capital of France?';
  const texts = ['The cat sits on the mat.', 'A cat is sitting on a rug.', 'export const port = 8080;'];
  let server: LocalServer;

  beforeAll(async () => {
    server = await startEmbeddedServer({ model, slots: '2', contextTokens: '1024' });
  }, 300_000); // the first start converts the model

  afterAll(() => server?.stop());

  function run(name: string, keywords: Readonly<Record<string, unknown>>) {
    return python.run(name, { url: server.url, model, ...keywords });
  }

  test('all three hear the same answer, whole and streamed', async () => {
    const asked = { content, temperature: 0 };
    const { text } = await run('openai_cases.chat', { ...asked, max_tokens: 40 });
    expect(text).toContain('Paris');
    const streamed = await run('openai_cases.chat_streamed', { ...asked, max_tokens: 40 });
    expect(streamed.text).toBe(text);
    const message = await run('anthropic_cases.message', asked);
    expect(message.text).toBe(text);
    expect(message.counted).toBe(message.usage.input + message.usage.read + message.usage.written);
    expect((await run('anthropic_cases.streamed', asked)).text).toBe(text);
    const chat = await run('ollama_cases.chat', { ...asked, num_predict: 40 });
    expect([chat.text, chat.streamed]).toEqual([text, text]);
    expect(chat.counts[0]).toBe(message.counted);
  });

  test('embeds: the same vectors to openai and ollama, near each other where the texts are', async () => {
    const { vectors, plain, tokens } = await run('openai_cases.embeddings', { texts });
    const embedded = await run('ollama_cases.embed', { texts });
    expect(embedded.tokens).toBe(tokens);
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
    for (const [at, vector] of vectors.entries()) {
      expect(dot(vector, plain[at])).toBeCloseTo(1, 5);
      expect(dot(vector, embedded.vectors[at])).toBeCloseTo(1, 5);
    }
    expect(dot(vectors[0], embedded.old)).toBeCloseTo(1, 5);
    expect(dot(vectors[0], vectors[1])).toBeGreaterThan(dot(vectors[0], vectors[2]));
  });
});
