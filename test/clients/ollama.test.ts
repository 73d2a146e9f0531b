// Ollama's own package for JavaScript, unmodified: what is here, whole and streamed answers, calls of tools, formats, the
// middle of a file, errors.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call } from './scripted-calls.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const missing = !existsSync(join(import.meta.dirname, 'node_modules', 'ollama'));
if (missing) console.log('skipped: ollama is not installed here; make test-clients installs it');

// biome-ignore lint/suspicious/noExplicitAny: packages that need not be installed where this is type-checked
async function load(name: string): Promise<any> {
  return import(name);
}

const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const model = 'spark-nano';

let server: ScriptedServer;

beforeAll(async () => {
  server = await startScriptedServer({
    say: (prompt) => {
      if (prompt.includes('<|fim_middle|>')) return 'return a + b;';
      const question = prompt.slice(prompt.lastIndexOf('<|im_start|>user'));
      if (question.includes('<tool_response>')) return 'It is sunny.';
      if (question.includes('weather')) return call('weather', { city: 'Oslo' });
      if (question.includes('JSON')) return '{"city": "Oslo"}';
      return 'Hello there.';
    },
  });
});

afterAll(() => server?.stop());

async function client() {
  const { Ollama } = await load('ollama');
  return new Ollama({ host: server.url });
}

function ask(content: string) {
  return [{ role: 'user', content }];
}

describe.skipIf(missing)('ollama', () => {
  test('finds the model and what it can do', async () => {
    const ollama = await client();
    const { models } = await ollama.list();
    expect(models.map(({ name }: { name: string }) => name)).toEqual([model]);
    const shown = await ollama.show({ model });
    expect(shown.capabilities).toEqual(['completion', 'tools', 'insert']);
    expect(shown.model_info['qwen2.context_length']).toBeGreaterThan(1000);
    expect((await ollama.ps()).models).toHaveLength(1);
    expect((await ollama.version()).version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('chats, whole and streamed', async () => {
    const ollama = await client();
    const whole = await ollama.chat({ model, messages: ask('Hi') });
    expect([whole.message.content, whole.done_reason]).toEqual(['Hello there.', 'stop']);
    expect(whole.eval_count).toBeGreaterThan(1);
    let said = '';
    const stream = await ollama.chat({ model: `${model}:latest`, messages: ask('Hi'), stream: true });
    for await (const part of stream) said += part.message.content;
    expect(said).toBe('Hello there.');
  });

  test('calls a tool and goes on from its result', async () => {
    const ollama = await client();
    const messages: object[] = ask('How is the weather?');
    const { message } = await ollama.chat({ model, messages, tools: [weather] });
    expect(message.tool_calls[0].function).toMatchObject({ name: 'weather', arguments: { city: 'Oslo' } });
    messages.push(message, { role: 'tool', tool_name: 'weather', content: 'sun' });
    const answer = await ollama.chat({ model, messages, tools: [weather] });
    expect(answer.message.content).toBe('It is sunny.');
    expect(server.prompts.at(-1)).toContain('sun');
  });

  test('holds a schema', async () => {
    const ollama = await client();
    const { message } = await ollama.chat({ model, messages: ask('JSON, please'), format: schema });
    expect(JSON.parse(message.content)).toEqual({ city: 'Oslo' });
  });

  test('generates, goes on from a context, and fills in the middle', async () => {
    const ollama = await client();
    const first = await ollama.generate({ model, prompt: 'Hi' });
    expect(first.response).toBe('Hello there.');
    await ollama.generate({ model, prompt: 'And now?', context: first.context });
    expect(server.prompts.at(-1)).toMatch(/Hi[\s\S]*Hello there\.[\s\S]*And now\?/);
    const filled = await ollama.generate({ model, prompt: 'function add(a, b) { ', suffix: ' }' });
    expect(filled.response).toBe('return a + b;');
  });

  test('gets errors in its own form', async () => {
    const ollama = await client();
    await expect(ollama.show({ model: 'other' })).rejects.toThrow('model not found');
    await expect(ollama.embed({ model, input: 'a' })).rejects.toThrow('does not support embeddings');
    await expect(ollama.chat({ model, messages: ask('Hi'), think: true })).rejects.toThrow('thinking');
    await expect(ollama.pull({ model: 'acme/other' })).rejects.toThrow('sparklane pull acme/other');
    expect(await ollama.pull({ model })).toMatchObject({ status: 'success' });
  });

  test('an answer that is aborted frees its seat', async () => {
    const ollama = await client();
    const stream = await ollama.chat({ model, messages: ask('Hi'), stream: true });
    stream.abort();
    await expect.poll(() => server.engine.load.runningCount, { timeout: 60_000 }).toBe(0);
  });
});
