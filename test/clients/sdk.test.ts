// The SDKs, unmodified: openai (SSE, responses.stream(), ResponsesWS, chat with tools), the AI SDK over both APIs,
// Anthropic's.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const missing = !existsSync(join(import.meta.dirname, 'node_modules', 'ai'));
if (missing) console.log('skipped: the SDKs are not installed here; make test-clients installs them');

// biome-ignore lint/suspicious/noExplicitAny: packages that need not be installed where this is type-checked
async function load(name: string): Promise<any> {
  return import(name);
}

const schema = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
};

let server: ScriptedServer;

beforeAll(async () => {
  server = await startScriptedServer({
    say: (prompt) => {
      const question = prompt.slice(prompt.lastIndexOf('<|im_start|>user'));
      if (question.includes('<tool_response>')) return 'It is sunny.';
      if (question.includes('weather')) {
        return '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo", "days": 2}}\n</tool_call>';
      }
      if (question.includes('JSON')) return '{"city": "Oslo", "days": 3}';
      return 'Hello there.';
    },
  });
});

afterAll(() => server?.stop());

describe.skipIf(missing)('openai', () => {
  async function client() {
    const { default: OpenAI } = await load('openai');
    return new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none' });
  }

  test('creates, streams, chains, reads and deletes responses', async () => {
    const openai = await client();
    const created = await openai.responses.create({ model: 'spark-nano', input: 'Hi' });
    expect(created.output_text).toBe('Hello there.');
    expect(await openai.responses.retrieve(created.id)).toMatchObject({
      id: created.id,
      status: 'completed',
    });
    const items = await openai.responses.inputItems.list(created.id);
    expect(items.data).toHaveLength(1);
    const types: string[] = [];
    const stream = await openai.responses.create({
      model: 'spark-nano',
      input: 'And?',
      previous_response_id: created.id,
      stream: true,
    });
    for await (const event of stream) types.push(event.type);
    expect([types[0], types.at(-1)]).toEqual(['response.created', 'response.completed']);
    await openai.responses.delete(created.id);
    await expect(openai.responses.retrieve(created.id)).rejects.toMatchObject({ status: 404 });
  });

  test('responses.stream() accumulates text and tool calls', async () => {
    const openai = await client();
    const text = await openai.responses.stream({ model: 'spark-nano', input: 'Hi' }).finalResponse();
    expect(text.output_text).toBe('Hello there.');
    const tools = [{ type: 'function', name: 'weather', parameters: schema, strict: true }];
    const called = await openai.responses
      .stream({ model: 'spark-nano', input: 'weather?', tools })
      .finalResponse();
    expect(called.output).toMatchObject([
      { type: 'function_call', name: 'weather', parsed_arguments: { city: 'Oslo', days: 2 } },
    ]);
  });

  test('ResponsesWS runs a tool round trip on one socket', async () => {
    const openai = await client();
    const { ResponsesWS } = await load('openai/resources/responses/ws');
    const socket = new ResponsesWS(openai);
    const tools = [{ type: 'function', name: 'weather', parameters: schema, strict: true }];
    const ask = (body: object) =>
      // biome-ignore lint/suspicious/noExplicitAny: as above
      new Promise<any>((resolve, reject) => {
        socket.once('response.completed', (event: unknown) => resolve(event));
        socket.once('error', reject);
        socket.send({ type: 'response.create', model: 'spark-nano', store: false, tools, ...body });
      });
    const first = await ask({ input: 'weather?' });
    const [item] = first.response.output;
    expect(item).toMatchObject({ type: 'function_call', arguments: '{"city": "Oslo", "days": 2}' });
    const second = await ask({
      previous_response_id: first.response.id,
      input: [{ type: 'function_call_output', call_id: item.call_id, output: 'sunny' }],
    });
    expect(second.response.output[0].content[0].text).toBe('It is sunny.');
    socket.close();
  });

  test('chat streams tool calls and structured answers, and takes a prediction', async () => {
    const openai = await client();
    const tools = [{ type: 'function', function: { name: 'weather', parameters: schema } }];
    const messages = [{ role: 'user', content: 'weather?' }];
    const called = await openai.chat.completions
      .stream({ model: 'spark-nano', messages, tools })
      .finalChatCompletion();
    expect(called.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { tool_calls: [{ function: { name: 'weather', arguments: '{"city": "Oslo", "days": 2}' } }] },
    });
    const parsed = await openai.chat.completions.parse({
      model: 'spark-nano',
      messages: [{ role: 'user', content: 'JSON please' }],
      response_format: { type: 'json_schema', json_schema: { name: 'trip', schema, strict: true } },
    });
    expect(JSON.parse(parsed.choices[0].message.content)).toEqual({ city: 'Oslo', days: 3 });
    const predicted = await openai.chat.completions.create({
      model: 'spark-nano',
      messages: [{ role: 'user', content: 'Hi' }],
      prediction: { type: 'content', content: 'Hello there.' },
    });
    expect(predicted.choices[0].message.content).toBe('Hello there.');
    expect(predicted.usage.completion_tokens_details.accepted_prediction_tokens).toBeGreaterThan(0);
  });
});

describe.skipIf(missing)('the Anthropic SDK', () => {
  const tools = [{ name: 'weather', description: 'The weather of a city', input_schema: schema }];
  const ask = (content: unknown) => ({
    model: 'spark-nano',
    max_tokens: 100,
    messages: [{ role: 'user', content }],
  });

  async function client(options: object = {}) {
    const { default: Anthropic } = await load('@anthropic-ai/sdk');
    return new Anthropic({ baseURL: server.url, apiKey: 'none', ...options });
  }

  test('creates, streams and counts', async () => {
    const anthropic = await client();
    const created = await anthropic.messages.create(ask('Hi'));
    expect(created).toMatchObject({
      type: 'message',
      role: 'assistant',
      content: [{ type: 'text', text: 'Hello there.' }],
      stop_reason: 'end_turn',
    });
    const long = ask('Hi, as I have said before in just as many words as these are.');
    await anthropic.messages.create(long);
    const streamed = await anthropic.messages.stream(long).finalMessage();
    expect(streamed.content).toEqual([{ type: 'text', text: 'Hello there.' }]);
    expect(streamed.usage.cache_read_input_tokens).toBeGreaterThan(0);
    const { max_tokens: _max, ...counted } = long;
    const { input_tokens: inAll } = await anthropic.messages.countTokens(counted);
    const { input_tokens: computed, cache_read_input_tokens: found } = streamed.usage;
    expect(inAll).toBe(computed + found);
  });

  test('runs a tool round trip', async () => {
    const anthropic = await client();
    const names: string[] = [];
    const stream = anthropic.messages.stream({ ...ask('weather?'), tools });
    stream.on('contentBlock', ({ type }: { type: string }) => names.push(type));
    const called = await stream.finalMessage();
    expect([called.stop_reason, names]).toEqual(['tool_use', ['tool_use']]);
    const [use] = called.content;
    expect(use).toMatchObject({ name: 'weather', input: { city: 'Oslo', days: 2 } });
    const second = await anthropic.messages.create({
      ...ask(''),
      tools,
      messages: [
        ...ask('weather?').messages,
        { role: 'assistant', content: called.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'sunny' }] },
      ],
    });
    expect(second.content).toEqual([{ type: 'text', text: 'It is sunny.' }]);
  });

  test('runs tools by itself, and gets objects of a schema', async () => {
    const anthropic = await client();
    const said = await anthropic.beta.messages.toolRunner({
      ...ask('weather?'),
      tools: [{ ...tools[0], run: async () => 'sunny', parse: (input: unknown) => input }],
    });
    expect(said.content).toEqual([{ type: 'text', text: 'It is sunny.' }]);
    const parsed = await anthropic.messages.create({
      ...ask('JSON please'),
      output_config: { format: { type: 'json_schema', schema } },
    });
    expect(JSON.parse(parsed.content[0].text)).toEqual({ city: 'Oslo', days: 3 });
  });

  test('throws its own errors and lists models', async () => {
    const anthropic = await client({ maxRetries: 0 });
    const unknown = anthropic.messages.create({ ...ask('Hi'), model: 'nobody' });
    await expect(unknown).rejects.toMatchObject({
      status: 404,
      requestID: expect.stringMatching(/^req_/),
      error: { error: { type: 'not_found_error' } },
    });
    const ids: string[] = [];
    for await (const { id } of anthropic.models.list()) ids.push(id);
    expect(ids).toContain('spark-nano');
  });
});

describe.skipIf(missing)('the AI SDK', () => {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  async function model(kind: 'responses' | 'chat'): Promise<{ ai: any; model: any }> {
    const ai = await load('ai');
    const baseURL = `${server.url}/v1`;
    if (kind === 'responses') {
      const { createOpenAI } = await load('@ai-sdk/openai');
      return { ai, model: createOpenAI({ baseURL, apiKey: 'none' })('spark-nano') };
    }
    const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible');
    const provider = createOpenAICompatible({ name: 'sparklane', baseURL, supportsStructuredOutputs: true });
    return { ai, model: provider('spark-nano') };
  }

  test.each(['responses', 'chat'] as const)('generates, streams and reports usage over %s', async (kind) => {
    const { ai, model: used } = await model(kind);
    const whole = await ai.generateText({ model: used, prompt: 'Hi' });
    expect(whole.text).toBe('Hello there.');
    const streamed = ai.streamText({ model: used, prompt: 'Hi' });
    expect(await streamed.text).toBe('Hello there.');
    expect((await streamed.usage).outputTokens).toBeGreaterThan(0);
  });

  test.each(['responses', 'chat'] as const)('calls tools over %s', async (kind) => {
    const { ai, model: used } = await model(kind);
    const tool = ai.tool({
      description: 'The weather of a city',
      inputSchema: ai.jsonSchema(schema),
      execute: async () => 'sunny',
    });
    const result = await ai.generateText({
      model: used,
      prompt: 'weather?',
      tools: { weather: tool },
      stopWhen: ai.stepCountIs(3),
    });
    expect(result.text).toBe('It is sunny.');
    expect(result.steps[0].toolCalls[0].input).toEqual({ city: 'Oslo', days: 2 });
  });

  test.each(['responses', 'chat'] as const)('generates objects of a schema over %s', async (kind) => {
    const { ai, model: used } = await model(kind);
    const { object } = await ai.generateObject({
      model: used,
      prompt: 'JSON!',
      schema: ai.jsonSchema(schema),
    });
    expect(object).toEqual({ city: 'Oslo', days: 3 });
  });
});
