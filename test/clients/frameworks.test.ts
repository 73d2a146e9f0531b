// litellm, langchain and llm of PyPI, unmodified, over every dialect that they know.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frameworksMissing, PythonClients } from './python-clients.ts';
import { call } from './scripted-calls.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

if (frameworksMissing !== null) console.log(`skipped: ${frameworksMissing}`);

const trip = { city: 'Oslo', days: 2 };
const said = ['Hello there.', 'Hello there.']; // whole, streamed
const called = ['weather', trip];

let python: PythonClients;
let server: ScriptedServer;

describe.skipIf(frameworksMissing !== null)('over a scripted model', () => {
  const model = 'spark-nano';

  beforeAll(async () => {
    python = new PythonClients(['framework_cases']);
    server = await startScriptedServer({
      say: (prompt) => {
        const question = prompt.slice(prompt.lastIndexOf('<|im_start|>user'));
        if (question.includes('weather')) return call('weather', trip);
        return question.includes('JSON') ? JSON.stringify(trip) : 'Hello there.';
      },
    });
    await python.ready;
  });

  afterAll(async () => {
    await python?.stop();
    await server?.stop();
  });

  function run(name: string, keywords: Readonly<Record<string, unknown>> = {}) {
    return python.run(`framework_cases.${name}`, { url: server.url, model, ...keywords });
  }

  test('litellm chats as with OpenAI, Anthropic, Ollama, vLLM, LM Studio and llamafile', async () => {
    const names = ['openai', 'anthropic', 'ollama_chat', 'hosted_vllm', 'lm_studio', 'llamafile'];
    const expected = Object.fromEntries(names.map((name) => [name, said]));
    expect(await run('litellm_chats', { content: 'Hi' })).toEqual(expected);
    const calls = await run('litellm_tool', { content: 'weather?' });
    expect(calls).toEqual({ openai: called, anthropic: called, ollama_chat: called });
  });

  test('litellm, and so aider, knows a context overflow as one', async () => {
    const overflow = 'ContextWindowExceededError';
    expect(await run('litellm_overflow')).toEqual({ openai: overflow, anthropic: overflow });
  });

  test('langchain chats and calls tools over chat, Responses, Messages and Ollama', async () => {
    const names = ['openai', 'responses', 'anthropic', 'ollama'];
    const all = (value: unknown) => Object.fromEntries(names.map((name) => [name, value]));
    expect(await run('langchain_chats', { content: 'Hi' })).toEqual(all(said));
    expect(await run('langchain_tool', { content: 'weather?' })).toEqual(all(called));
    expect(await run('langchain_structured', { content: 'JSON' })).toEqual(trip);
  });

  test('llm answers, streamed and whole', async () => {
    expect(await run('llm_answers', { content: 'Hi' })).toEqual(said);
  });
});
