import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import { type LocalServer, startLocalServer } from '../../server/cli/local-server.ts';
import { loadConfig } from '../../server/config/config.ts';
import { MemoryTerminal } from '../memory-terminal.ts';
import { builtGraphs } from '../run-folders.ts';
import { servedEnv } from '../served-env.ts';

let server: LocalServer;
let client: OpenAI;
const terminal = new MemoryTerminal();

beforeAll(async () => {
  const flags = {
    port: 0,
    cacheDirectory: builtGraphs(),
    contextTokens: '1024',
    slots: '2',
    logLevel: 'info',
  };
  const host = { terminal, env: {}, clock: new WallClock(), epochMs: () => Date.now() };
  server = await startLocalServer(loadConfig({ flags, env: servedEnv }), host);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(() => server.stop());

async function ask(question: string): Promise<string> {
  const answer = await client.chat.completions.create({
    model: server.model.name,
    messages: [{ role: 'user', content: question }],
    max_tokens: 120,
  });
  expect(answer.choices[0]!.finish_reason).toBe('stop');
  return answer.choices[0]!.message.content!;
}

test('it is SmolLM2, and knows the capital of France', async () => {
  expect(server.model.name).toBe('smollm2-135m-instruct');
  expect(await ask('What is the capital of France?')).toContain('Paris');
});

test('it writes a small function', async () => {
  const answer = await ask('Write a TypeScript function add(a, b) that returns the sum of two numbers.');
  expect(answer).toMatch(/function add\(a: number, b: number\)/);
  expect(answer).toMatch(/return a \+ b/);
});

test('filling in the middle, which it cannot do, is refused in words on every route', async () => {
  const routes = [
    ['/infill', { input_prefix: 'let a', input_suffix: ';' }],
    ['/v1/fim/completions', { prompt: 'let a', suffix: ';' }],
    ['/v1/completions', { prompt: 'let a', suffix: ';' }],
  ] as const;
  for (const [path, body] of routes) {
    const response = await fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('no tokens for filling in the middle');
  }
});
