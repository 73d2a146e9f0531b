// The recorder between a client and its server, over real sockets: everything is handed on, numbers are kept, text is not.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { RecordedSession } from '../../../../loadtest/agents/recording.ts';
import { usageIn } from '../../../../loadtest/agents/recording-proxy.ts';
import { runLoadtest } from '../../../../loadtest/main.ts';
import { MemoryIo } from '../../../memory-io.ts';
import { ScriptedServer } from '../../../sse-server.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

let server: ScriptedServer | null = null;
afterEach(async () => {
  await server?.stop();
  server = null;
});

test('a client is handed on, stream and all, and its conversation is written without its text', async () => {
  server = await ScriptedServer.start((request, answer) => {
    if (request.path === '/base/v1/models') answer.respond(200, { data: [{ id: 'tiny' }] });
    else if (request.body['stream'] === true) {
      answer.stream();
      answer.event({ choices: [{ delta: { content: 'secret answer' } }] });
      answer.event({
        choices: [],
        usage: { prompt_tokens: 31, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 16 } },
      });
      answer.end();
    } else answer.respond(429, { error: { message: 'full' } });
  });
  const file = join(temporaryDirectory(), 'recorded.jsonl');
  const io = new MemoryIo();
  const recording = runLoadtest(['--url', `${server.url}/base`, '--record', file, '--listen', '0'], io);
  await expect.poll(() => io.notes).toMatch(/http:\/\/127\.0\.0\.1:\d+/);
  const url = /http:\/\/[\d.]+:\d+/.exec(io.notes)![0];
  expect(await (await fetch(`${url}/v1/models`)).json()).toEqual({ data: [{ id: 'tiny' }] });
  const ask = (body: object) =>
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer my-key', 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const messages = [{ role: 'user', content: 'my private question about payroll' }];
  const streamed = await ask({ messages, stream: true });
  expect([streamed.headers.get('content-type'), (await streamed.text()).includes('secret answer')]).toEqual([
    'text/event-stream',
    true,
  ]);
  expect((await ask({ messages })).status).toBe(429);
  expect(server.requests.at(-1)!.headers.authorization).toBe('Bearer my-key');
  await expect.poll(() => existsSync(file)).toBe(true);
  io.interrupt();
  await recording;
  const text = readFileSync(file, 'utf8');
  expect(text).not.toMatch(/payroll|secret|my-key/);
  const session = JSON.parse(text) as RecordedSession;
  expect(session.requests).toHaveLength(1);
  expect(session.requests[0]).toMatchObject({
    out: 5,
    prompt_tokens: 31,
    cached_tokens: 16,
    segments: [['user', 33]],
  });
  expect(io.notes).toMatch(/1 requests in 1 sessions, without their text/);
});

test('usage is read from the ends of either API’s answers', () => {
  expect(usageIn('{"usage":{"prompt_tokens":9,"completion_tokens":3}}')).toEqual({
    promptTokens: 9,
    cachedTokens: null,
    outputTokens: 3,
  });
  expect(
    usageIn(
      '"usage":{"input_tokens":3,"cache_read_input_tokens":40,"cache_creation_input_tokens":2,"output_tokens":1} … "usage":{"output_tokens":7}',
    ),
  ).toEqual({ promptTokens: 45, cachedTokens: 40, outputTokens: 7 });
  expect(usageIn('nothing')).toEqual({ promptTokens: null, cachedTokens: null, outputTokens: null });
});
