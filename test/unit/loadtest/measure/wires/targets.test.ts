// Each protocol's target over real sockets, against a scripted server: what it sends, what it reads, and what it makes
// of every way to fail.
import { afterEach, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { WallClock } from '../../../../../kernels/clock.ts';
import { parseAddress } from '../../../../../loadtest/measure/wires/address.ts';
import {
  openTarget,
  realWires,
  type TargetKind,
  type TargetOptions,
} from '../../../../../loadtest/measure/wires/catalog.ts';
import { type Connection, DIRECT } from '../../../../../loadtest/measure/wires/connection.ts';
import type { Ask, Delta, Dialogue, Target, TurnEnd } from '../../../../../loadtest/measure/wires/target.ts';
import { smallWorkload } from '../../../../load-world.ts';
import { type Answer, ScriptedServer } from '../../../../sse-server.ts';

const clock = new WallClock();
let server: ScriptedServer | null = null;
let target: Target | null = null;
afterEach(async () => {
  target?.close();
  await server?.stop();
  server = null;
});

async function open(
  kind: TargetKind,
  answer: Answer,
  options: Partial<TargetOptions> = {},
  onSocket: (socket: WebSocket) => void = () => {},
  { basePath = '', connection = DIRECT }: { basePath?: string; connection?: Connection } = {},
): Promise<Dialogue> {
  server = await ScriptedServer.start(answer, onSocket);
  target = openTarget(
    {
      kind,
      address: server.url,
      apiKey: 'secret',
      headers: {},
      model: 'tiny',
      as: 'text',
      temperature: 0,
      plain: false,
      extraBody: {},
      content: { scale: { wordsPerToken: 1 }, ids: { first: 0, vocabSize: 50 }, encode: null },
      ...options,
    },
    realWires(parseAddress('url', `${server.url}${basePath}`), connection, 16),
    clock,
  );
  const session = smallWorkload().sessions().next().value!;
  return target.open(session, () => {});
}

interface Turn {
  readonly deltas: Delta[];
  readonly sent: boolean;
  readonly end: TurnEnd;
}

function play(
  conversation: Dialogue,
  text: string,
  changes: Partial<Ask> = {},
  stopAfter = 0,
): Promise<Turn> {
  const ask: Ask = {
    reset: false,
    items: [{ role: 'user', parts: [{ kind: 'text', text }] }],
    maxTokens: 4,
    exact: true,
    ...changes,
  };
  return new Promise((resolve) => {
    const deltas: Delta[] = [];
    let sent = false;
    conversation.start(ask, {
      onSent: () => {
        sent = true;
      },
      onTokens: (_, delta) => {
        deltas.push(delta);
        if (deltas.length === stopAfter) clock.defer(() => conversation.interrupt());
      },
      onEnd: (_, end) => resolve({ deltas, sent, end }),
    });
  });
}

const usage = { prompt_tokens: 9, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } };

test('chat: messages, lengths and the answer’s own words in the next turn', async () => {
  const conversation = await open('chat', (_, answer) => {
    answer.stream();
    answer.event({ choices: [{ delta: { role: 'assistant', content: '' }, finish_reason: null }] });
    answer.event({ choices: [{ delta: { reasoning_content: 'hm' }, token_ids: [1] }] });
    answer.event({ choices: [{ delta: { content: 'foo' }, token_ids: [2, 3] }] });
    answer.event({ choices: [{ delta: {}, finish_reason: 'length' }] });
    answer.event({ choices: [], usage });
    answer.event('[DONE]');
    answer.end();
  });
  const first = await play(conversation, 'one');
  expect(first.sent).toBe(true);
  expect(first.deltas).toEqual([
    { text: 'hm', count: 1, index: null, reasoning: true },
    { text: 'foo', count: 2, index: null, reasoning: false },
  ]);
  expect(first.end).toMatchObject({ outcome: 'ok', promptTokens: 9, cachedTokens: 4, outputTokens: 3 });
  await play(conversation, 'two');
  const [, second] = server!.requests;
  expect(second!.headers.authorization).toBe('Bearer secret');
  expect(second!.body).toMatchObject({
    model: 'tiny',
    max_tokens: 4,
    min_tokens: 4,
    ignore_eos: true,
    return_token_ids: true,
    temperature: 0,
    stream: true,
    messages: [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'foo' },
      { role: 'user', content: 'two' },
    ],
  });
});

test('plain requests carry only what OpenAI documents; more fields win', async () => {
  const answer: Answer = (_, response) => response.respond(200, {});
  const conversation = await open('chat', answer, { plain: true, extraBody: { max_tokens: 7, top_p: 0.5 } });
  const { end } = await play(conversation, 'one');
  expect(end).toMatchObject({ outcome: 'error', errorKind: 'not an event stream' });
  expect(Object.keys(server!.requests[0]!.body).sort()).toEqual(
    ['max_tokens', 'messages', 'model', 'stream', 'stream_options', 'temperature', 'top_p'].sort(),
  );
  expect(server!.requests[0]!.body['max_tokens']).toBe(7);
});

test('completions: a growing prompt as text, or as token ids', async () => {
  const answer: Answer = (_, response) => {
    response.stream();
    response.event({ choices: [{ text: 'ab', token_ids: [7, 8] }] });
    response.event({ choices: [{ text: '', token_ids: [], finish_reason: 'length' }], usage });
    response.end();
  };
  const asText = await open('completions', answer);
  await play(asText, 'x');
  await play(asText, 'y');
  await play(asText, 'z', { reset: true });
  expect(server!.requests.map(({ body }) => body['prompt'])).toEqual(['x', 'xaby', 'z']);
  await server!.stop();
  const asTokens = await open('completions', answer, { as: 'tokens' });
  const filler = {
    items: [{ role: 'user' as const, parts: [{ kind: 'filler' as const, seed: 1, tokenCount: 5 }] }],
  };
  await play(asTokens, '', filler);
  await play(asTokens, '', filler);
  const [first, second] = server!.requests.map(({ body }) => body['prompt'] as number[]);
  expect(first).toHaveLength(5);
  expect(second).toEqual([...first!, 7, 8, ...first!]);
});

test('a character cut in two by the network is put together again', async () => {
  const conversation = await open('completions', async (_, answer) => {
    answer.stream();
    const bytes = Buffer.from(
      `data: ${JSON.stringify({ choices: [{ text: 'é✓', finish_reason: 'stop' }] })}\n\n`,
    );
    const middle = bytes.indexOf(0xc3) + 1;
    answer.raw(bytes.subarray(0, middle));
    await new Promise((resolve) => setTimeout(resolve, 20));
    answer.raw(bytes.subarray(middle));
    answer.end();
  });
  const { deltas, end } = await play(conversation, 'x');
  expect(deltas.map(({ text }) => text).join('')).toBe('é✓');
  expect(end.outcome).toBe('ok');
});

const failures: [string, Answer, Partial<TurnEnd>][] = [
  [
    'a full queue',
    (_, answer) => answer.respond(429, { error: { code: 'queue_full', message: 'full' } }),
    { outcome: 'rejected', errorKind: 'http 429 queue_full', message: 'full' },
  ],
  [
    'a proxy',
    (_, answer) => answer.respond(502, '<html>'),
    { outcome: 'error', errorKind: 'http 502', message: '<html>' },
  ],
  [
    'an error inside the stream',
    (_, answer) => {
      answer.stream();
      answer.event({ error: { code: 'worker_died', message: 'gone' } });
      answer.end();
    },
    { outcome: 'error', errorKind: 'worker_died' },
  ],
  [
    'a stream that just ends',
    (_, answer) => {
      answer.stream();
      answer.event({ choices: [{ text: 'ab' }] });
      answer.end();
    },
    { outcome: 'truncated', errorKind: 'stream ended without a finish reason' },
  ],
  [
    'a dropped connection',
    (_, answer) => {
      answer.stream();
      answer.event({ choices: [{ text: 'ab' }] });
      setTimeout(() => answer.cut(), 20);
    },
    { outcome: 'truncated' },
  ],
  [
    'broken JSON',
    (_, answer) => {
      answer.stream();
      answer.event('{oops');
      answer.end();
    },
    { outcome: 'error', errorKind: 'malformed event' },
  ],
];
test.each(failures)('%s is told by kind', async (_, answer, expected) => {
  const conversation = await open('completions', answer);
  expect((await play(conversation, 'x')).end).toMatchObject(expected);
});

test('a length limit that nobody asked for is a truncation', async () => {
  const conversation = await open('completions', (_, answer) => {
    answer.stream();
    answer.event({ choices: [{ text: 'ab', finish_reason: 'length' }] });
    answer.end();
  });
  expect((await play(conversation, 'x', { exact: false })).end).toMatchObject({
    outcome: 'truncated',
    errorKind: 'length limit',
  });
  expect((await play(conversation, 'x', { exact: true })).end.outcome).toBe('ok');
});

test('nobody at home is an error of the system’s own kind', async () => {
  const conversation = await open('completions', () => {});
  await server!.stop();
  expect((await play(conversation, 'x')).end).toMatchObject({ outcome: 'error', errorKind: 'ECONNREFUSED' });
});

test('Esc on a stream closes the connection, and the server sees it', async () => {
  let answering: { readonly gone: boolean } | null = null;
  const conversation = await open('completions', (_, answer) => {
    answering = answer;
    answer.stream();
    answer.event({ choices: [{ text: 'ab', token_ids: [1] }] });
  });
  const { end } = await play(conversation, 'x', {}, 1);
  expect(end.outcome).toBe('interrupted');
  await expect.poll(() => answering?.gone).toBe(true);
});

const responseEvents = (id: string, text: string, chained = true) => [
  { type: 'response.created', response: { id } },
  { type: 'response.reasoning_summary_text.delta', delta: 'hm' },
  ...text.split('').map((delta) => ({ type: 'response.output_text.delta', delta })),
  { type: 'response.unheard_of' },
  {
    type: 'response.completed',
    response: {
      id,
      output: chained
        ? [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] }]
        : [],
      usage: { input_tokens: 11, output_tokens: 5, input_tokens_details: { cached_tokens: 6 } },
    },
  },
];

test('Responses over SSE: the server’s own items go back with the next turn', async () => {
  const conversation = await open('responses-sse', (_, answer) => {
    answer.stream();
    for (const event of responseEvents('r1', 'foo')) answer.event(event);
    answer.end();
  });
  const { deltas, end } = await play(conversation, 'one');
  expect(deltas.map(({ text, reasoning }) => [text, reasoning])).toEqual([
    ['hm', true],
    ['f', false],
    ['o', false],
    ['o', false],
  ]);
  expect(end).toMatchObject({ outcome: 'ok', promptTokens: 11, cachedTokens: 6, outputTokens: 5 });
  await play(conversation, 'two');
  expect(server!.requests[1]!.body).toMatchObject({ store: false, max_output_tokens: 4 });
  expect((server!.requests[1]!.body['input'] as { role: string }[]).map(({ role }) => role)).toEqual([
    'user',
    'assistant',
    'user',
  ]);
});

test('Responses over SSE: incomplete, failed and error events', async () => {
  const ends = [
    { type: 'response.incomplete', response: { incomplete_details: { reason: 'max_output_tokens' } } },
    { type: 'response.failed', response: { error: { code: 'rate_limit_exceeded', message: 'slow down' } } },
    { type: 'error', code: 'server_error', message: 'broken' },
  ];
  const conversation = await open('responses-sse', (_, answer) => {
    answer.stream();
    answer.event({ type: 'response.output_text.delta', delta: 'a' });
    answer.event(ends.shift()!);
    answer.end();
  });
  expect((await play(conversation, 'x', { exact: false })).end).toMatchObject({
    outcome: 'truncated',
    errorKind: 'length limit',
  });
  expect((await play(conversation, 'x')).end).toMatchObject({
    outcome: 'rejected',
    errorKind: 'rate_limit_exceeded',
  });
  expect((await play(conversation, 'x')).end).toMatchObject({ outcome: 'error', errorKind: 'server_error' });
});

test('Responses over a WebSocket: chained turns send only what is new; Esc drops the socket and the next turn sends all', async () => {
  const frames: Record<string, unknown>[][] = [];
  const onSocket = (socket: WebSocket) => {
    const own: Record<string, unknown>[] = [];
    frames.push(own);
    socket.on('message', (data) => {
      own.push(JSON.parse(String(data)) as Record<string, unknown>);
      const events = responseEvents(`r${own.length}`, 'foo');
      const hangs = frames.length === 1 && own.length === 3;
      for (const event of hangs ? events.slice(0, 3) : events) socket.send(JSON.stringify(event));
    });
  };
  const conversation = await open('responses-ws', () => {}, {}, onSocket);
  expect((await play(conversation, 'one')).end).toMatchObject({ outcome: 'ok', cachedTokens: 6 });
  expect((await play(conversation, 'two')).sent).toBe(true);
  expect((await play(conversation, 'three', {}, 2)).end.outcome).toBe('interrupted');
  expect((await play(conversation, 'four')).end.outcome).toBe('ok');
  conversation.close();
  const [first, second] = frames as [Record<string, unknown>[], Record<string, unknown>[]];
  const texts = (frame: Record<string, unknown>) =>
    (frame['input'] as { content: { text: string }[] }[]).map(({ content }) => content[0]!.text);
  expect(first.map((frame) => [frame['type'], frame['previous_response_id'], texts(frame)])).toEqual([
    ['response.create', undefined, ['one']],
    ['response.create', 'r1', ['two']],
    ['response.create', 'r2', ['three']],
  ]);
  expect(second.map((frame) => [frame['previous_response_id'], texts(frame)])).toEqual([
    [undefined, ['one', 'foo', 'two', 'foo', 'three', 'four']],
  ]);
});

test('Responses over a WebSocket: a lost chain is sent again in full, a closed socket is told', async () => {
  const frames: Record<string, unknown>[] = [];
  const conversation = await open(
    'responses-ws',
    () => {},
    {},
    (socket) => {
      socket.on('message', (data) => {
        frames.push(JSON.parse(String(data)) as Record<string, unknown>);
        const lost = {
          type: 'error',
          status: 400,
          error: { code: 'previous_response_not_found', message: 'gone' },
        };
        if (frames.length === 4) socket.close(1012, 'restart');
        else
          for (const event of frames.length === 2 ? [lost] : responseEvents('r', 'a'))
            socket.send(JSON.stringify(event));
      });
    },
  );
  await play(conversation, 'one');
  expect((await play(conversation, 'two')).end.outcome).toBe('ok');
  expect(frames.map((frame) => (frame['input'] as unknown[]).length)).toEqual([1, 1, 3]);
  expect((await play(conversation, 'three')).end).toMatchObject({
    outcome: 'error',
    errorKind: 'closed 1012',
  });
});
