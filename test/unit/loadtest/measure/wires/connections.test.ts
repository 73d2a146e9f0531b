// How requests reach a server: under a base path, with headers of one's own, through a proxy, over TLS; and the routes that
// OpenAI's chat does not cover: Anthropic's Messages, embeddings, plain ones.

import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { WallClock } from '../../../../../kernels/clock.ts';
import { parseAddress } from '../../../../../loadtest/measure/wires/address.ts';
import { openTarget, realWires, type TargetKind } from '../../../../../loadtest/measure/wires/catalog.ts';
import { type Connection, DIRECT, readCa } from '../../../../../loadtest/measure/wires/connection.ts';
import type { Delta, TurnEnd } from '../../../../../loadtest/measure/wires/target.ts';
import type { Part } from '../../../../../loadtest/workload/turn.ts';
import { newCertificate } from '../../../../certificate.ts';
import { smallWorkload } from '../../../../load-world.ts';
import { type Answer, ScriptedServer } from '../../../../sse-server.ts';

const clock = new WallClock();
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Played {
  readonly deltas: readonly Delta[];
  readonly end: TurnEnd;
}

/** Plays the texts as turns of one session; each text is one item. */
async function play(
  kind: TargetKind,
  url: string,
  turns: readonly (readonly string[])[],
  { connection = DIRECT, headers = {} }: { connection?: Connection; headers?: Record<string, string> } = {},
): Promise<Played[]> {
  const address = parseAddress('url', url);
  const options = { as: 'text', temperature: null, plain: false, extraBody: {}, headers } as const;
  const content = { scale: { wordsPerToken: 1 }, ids: null, encode: null };
  const asked = { ...options, kind, address: address.text, apiKey: 'secret', model: 'tiny', content };
  const target = openTarget(asked, realWires(address, connection, 8), clock);
  closing.push(() => target.close());
  const conversation = target.open(smallWorkload().sessions().next().value!, () => {});
  const played: Played[] = [];
  for (const texts of turns) {
    const deltas: Delta[] = [];
    const items = texts.map((text) => ({ role: 'user' as const, parts: [{ kind: 'text', text }] as Part[] }));
    const end = await new Promise<TurnEnd>((resolve) => {
      conversation.start(
        { reset: false, items, maxTokens: 4, exact: true },
        {
          onSent: () => {},
          onTokens: (_, delta) => deltas.push(delta),
          onEnd: (__, ended) => resolve(ended),
        },
      );
    });
    played.push({ deltas, end });
  }
  conversation.close();
  return played;
}

async function scripted(answer: Answer): Promise<ScriptedServer> {
  const server = await ScriptedServer.start(answer);
  closing.push(() => server.stop());
  return server;
}

const oneToken: Answer = (_, answer) => {
  answer.stream();
  answer.event({
    choices: [{ text: 'ab', token_ids: [1], delta: { content: 'ab' }, finish_reason: 'stop' }],
  });
  answer.end();
};

test('the path of --url is kept, and headers of one’s own win', async () => {
  const server = await scripted(oneToken);
  const headers = { 'x-team': 'blue', authorization: 'Basic abc' };
  const [first] = await play('chat', `${server.url}/openai/v1`, [['hi']], { headers });
  await play('completions', `${server.url}/gateway`, [['hi']]);
  expect(first!.end.outcome).toBe('ok');
  expect(server.requests.map(({ path }) => path)).toEqual([
    '/openai/v1/chat/completions',
    '/gateway/v1/completions',
  ]);
  expect(server.requests[0]!.headers).toMatchObject(headers);
});

test('a tool call begins with its name, whatever the protocol', async () => {
  const chat = await scripted((_, answer) => {
    answer.stream();
    answer.event({
      choices: [{ delta: { tool_calls: [{ index: 0, function: { name: 'read', arguments: '' } }] } }],
    });
    answer.event({ choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: '{}' } }] } }] });
    answer.event({ choices: [{ delta: {}, finish_reason: 'tool_calls' }] });
    answer.end();
  });
  const responses = await scripted((_, answer) => {
    answer.stream();
    answer.event({
      type: 'response.output_item.added',
      item: { type: 'function_call', name: 'read', arguments: '' },
    });
    answer.event({ type: 'response.function_call_arguments.delta', delta: '{}' });
    answer.event({ type: 'response.completed', response: { id: 'r', output: [] } });
    answer.end();
  });
  const messages = await scripted((_, answer) => {
    answer.stream();
    answer.event({
      type: 'content_block_start',
      content_block: { type: 'tool_use', name: 'read', input: {} },
    });
    answer.event({ type: 'content_block_delta', delta: { type: 'input_json_delta', partial_json: '{}' } });
    answer.event({ type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 9 } });
    answer.end();
  });
  for (const [kind, server] of [
    ['chat', chat],
    ['responses-sse', responses],
    ['messages', messages],
  ] as const) {
    const [turn] = await play(kind, server.url, [['hi']]);
    expect(turn!.deltas.map(({ text }) => text)).toEqual(['read', '{}']);
    expect(turn!.end.outcome).toBe('ok');
  }
});

test('Messages: the key, roles in turn, usage with its cache, and how it ends', async () => {
  const server = await scripted((request, answer) => {
    if (request.body['messages'] === undefined) return;
    answer.stream();
    const usage = {
      input_tokens: 3,
      cache_read_input_tokens: 40,
      cache_creation_input_tokens: 2,
      output_tokens: 1,
    };
    answer.event({ type: 'message_start', message: { usage } });
    answer.event({ type: 'ping' });
    answer.event({ type: 'content_block_delta', delta: { type: 'thinking_delta', thinking: 'hm' } });
    answer.event({ type: 'content_block_delta', delta: { type: 'text_delta', text: 'foo' } });
    answer.event({
      type: 'message_delta',
      delta: { stop_reason: 'max_tokens' },
      usage: { output_tokens: 4 },
    });
    answer.event({ type: 'message_stop' });
    answer.end();
  });
  const [first] = await play('messages', server.url, [['one', 'two'], ['three']]);
  expect(first!.deltas.map(({ text, reasoning }) => [text, reasoning])).toEqual([
    ['hm', true],
    ['foo', false],
  ]);
  expect(first!.end).toMatchObject({ outcome: 'ok', promptTokens: 45, cachedTokens: 40, outputTokens: 4 });
  expect(server.requests[0]!.headers).toMatchObject({
    'x-api-key': 'secret',
    'anthropic-version': '2023-06-01',
  });
  expect(server.requests[1]!.body).toMatchObject({
    max_tokens: 4,
    messages: [
      { role: 'user', content: 'one\ntwo' },
      { role: 'assistant', content: 'foo' },
      { role: 'user', content: 'three' },
    ],
  });
});

test('Messages: a full server is a rejection, an error in the stream is none', async () => {
  const server = await scripted((_, answer) => {
    const overloaded = { type: 'error', error: { type: 'overloaded_error', message: 'later' } };
    if (server.requests.length === 1) answer.respond(529, overloaded);
    else {
      answer.stream();
      answer.event({ type: 'error', error: { type: 'api_error', message: 'broken' } });
      answer.end();
    }
  });
  const [refused, broken] = await play('messages', server.url, [['one'], ['two']]);
  expect(refused!.end).toMatchObject({ outcome: 'rejected', errorKind: 'http 529 overloaded_error' });
  expect(broken!.end).toMatchObject({ outcome: 'error', errorKind: 'api_error' });
});

test('embeddings: one input or several, whole answers, and what is none', async () => {
  const server = await scripted((request, answer) => {
    const { input } = request.body;
    const data = [input].flat().map((_, index) => ({ index, embedding: 'AACAPw==' }));
    if (server.requests.length === 3) answer.respond(200, { data: [] });
    else answer.respond(200, { data, usage: { prompt_tokens: 7, total_tokens: 7 } });
  });
  const [one, two, none] = await play('embeddings', server.url, [['a'], ['b', 'c'], ['d']]);
  expect(server.requests.map(({ body }) => body['input'])).toEqual(['a', ['b', 'c'], 'd']);
  expect(one!.end).toMatchObject({ outcome: 'ok', promptTokens: 7 });
  expect(two!.end.outcome).toBe('ok');
  expect(none!.end).toMatchObject({ outcome: 'error', errorKind: 'no embeddings' });
});

test('plain routes are asked as they are', async () => {
  const server = await scripted((request, answer) =>
    request.path === '/healthz' ? answer.respond(200, { status: 'ok' }) : answer.respond(404, {}),
  );
  const [healthy] = await play('health', server.url, [['x']]);
  const [missing] = await play('tokenize', server.url, [['x']]);
  expect(healthy!.end.outcome).toBe('ok');
  expect(missing!.end).toMatchObject({ outcome: 'error', errorKind: 'http 404' });
});

/** An HTTP proxy that tunnels; says which places it was asked for. */
async function openProxy(): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const proxy = createServer((_, response) => response.writeHead(501).end());
  proxy.on('connect', (request, client, head) => {
    asked.push(request.url ?? '');
    const [host, port] = (request.url ?? '').split(':');
    const upstream = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on('error', () => client.destroy());
    client.on('error', () => upstream.destroy());
  });
  return { url: `http://127.0.0.1:${await listening(proxy)}`, asked };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('a proxy is gone through by requests and by sockets', async () => {
  const server = await scripted(oneToken);
  const proxy = await openProxy();
  const connection = { ...DIRECT, proxy: proxy.url };
  const [turn] = await play('completions', server.url, [['hi']], { connection });
  expect(turn!.end.outcome).toBe('ok');
  await play('responses-ws', server.url, [], { connection });
  const host = new URL(server.url).host;
  await expect.poll(() => proxy.asked).toEqual([host, host]);
});

const certificate = newCertificate('loadtest.test', ['127.0.0.1']);
test.skipIf(certificate === null)('TLS is checked against --ca, for requests and for sockets', async () => {
  const server = createTlsServer({ key: certificate!.key, cert: certificate!.cert }, (request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(`data: ${JSON.stringify({ choices: [{ text: 'ab', finish_reason: 'stop' }] })}\n\n`);
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.close(1012, 'met'));
  const url = `https://127.0.0.1:${await listening(server as unknown as Server)}`;
  const trusting = { ...DIRECT, ca: readCa(certificate!.path) };
  const outcomeOf = async (kind: TargetKind, connection: Connection) =>
    (await play(kind, url, [['hi']], { connection }))[0]!.end;
  expect(await outcomeOf('completions', trusting)).toMatchObject({ outcome: 'ok' });
  expect(await outcomeOf('completions', { ...DIRECT, insecure: true })).toMatchObject({ outcome: 'ok' });
  expect(await outcomeOf('completions', DIRECT)).toMatchObject({
    outcome: 'error',
    errorKind: expect.stringMatching(/SELF_SIGNED/),
  });
  expect(await outcomeOf('native', trusting)).toMatchObject({ errorKind: 'closed 1012', message: 'met' });
  expect(await outcomeOf('native', DIRECT)).toMatchObject({
    errorKind: 'closed 1006',
    message: expect.stringMatching(/self.signed/),
  });
});
