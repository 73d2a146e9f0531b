// The SDKs, unmodified: openai (SSE, responses.stream(), ResponsesWS, chat with tools), the AI SDK over both APIs.
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
