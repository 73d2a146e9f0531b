// Bytes that are no message: JSON and MessagePack that lie, stop short, nest without end, or were hit by chance.
import { once } from 'node:events';
import { pack, unpack } from 'msgpackr';
import { expect } from 'vitest';
import type { Random } from '../../kernels/random.ts';
import { type Arena, closeOf } from './arena.ts';
import type { Family } from './fault.ts';

const ROUTES = [
  '/v1/completions',
  '/v1/chat/completions',
  '/v1/responses',
  '/tokenize',
  '/infill',
  '/v1/tasks',
];

const BODIES: readonly (string | Uint8Array)[] = [
  ...['', '{', '{"prompt"', '{"prompt":"x",}', "{'prompt':'x'}", 'null', 'true', '0', '"x"', '[]', '[{}]'],
  ...['NaN', '{"prompt":NaN}', '{"prompt":"\\ud8', '{"prompt":"x"}}', '{"prompt":"x"} {"prompt":"y"}'],
  ...['{"prompt":1e999}', '{"prompt":{"toString":1}}', '{"messages":{"length":1e9}}', '{"input":[[[[]]]]}'],
  '['.repeat(100_000),
  `{"prompt":${'[{"a":'.repeat(5000)}1${'}]'.repeat(5000)}}`,
  new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), // {"??":1}, no UTF-8
  new Uint8Array([0xef, 0xbb, 0xbf, 0x7b]), // a byte order mark and half an object
  new Uint8Array(1000), // zeros
];

const FRAMES: readonly (readonly [string, Uint8Array])[] = [
  ['nothing', new Uint8Array()],
  ['a reserved byte', Uint8Array.of(0xc1)],
  ['a string of 4 GB that is not there', Uint8Array.of(0xdb, 0xff, 0xff, 0xff, 0xff, 0x61)],
  ['an array of 4 billion', Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
  ['a map of 4 billion', Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff)],
  ['binary of 4 GB', Uint8Array.of(0xc6, 0xff, 0xff, 0xff, 0xff, 0)],
  ['an extension', Uint8Array.of(0xd4, 0x01, 0x00)],
  ['an extension of 4 GB', Uint8Array.of(0xc9, 0xff, 0xff, 0xff, 0xff, 0x72)],
  ['nested arrays', new Uint8Array(100_000).fill(0x91)],
  ['nested maps', new Uint8Array(100_000).fill(0x81)],
  ['half a map', pack({ type: 'ping', nonce: 1 }).subarray(0, 5)],
  ['two values', Buffer.concat([pack({ type: 'ping' }), pack({ type: 'ping' })])],
  ['a number', pack(7)],
  ['nil', Uint8Array.of(0xc0)],
];

export const malformed: Family = {
  name: 'Malformed MessagePack and JSON',
  faults: [
    {
      id: 'malformed/json',
      does: 'bodies that are no JSON, or JSON of another shape, on every route',
      promise: '400 with the envelope, unless it is an object that the route understands; never 500',
      inject: async (arena) => {
        const lie = async (path: string) => {
          for (const body of BODIES) {
            const answer = await arena.post(path, body);
            // An object of another shape may be one that the route understands.
            if (!isObject(body) || answer.status !== 200) refusedInWords(answer);
          }
        };
        await Promise.all(ROUTES.map(lie));
        return ROUTES.length * BODIES.length;
      },
    },
    {
      id: 'malformed/json-by-chance',
      does: 'valid bodies with bytes changed, left out and doubled by chance',
      promise: 'an answer, or 400 with the envelope; never 500, never silence',
      inject: async (arena, random) => {
        const valid = JSON.stringify({
          messages: [{ role: 'user', content: 'hi' }],
          max_tokens: 1,
          stop: ['a'],
          logit_bias: { 1: 2 },
          tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
          tool_choice: 'none',
        });
        const bodies = Array.from({ length: 100 }, () => mutated(Buffer.from(valid), random));
        const answers = await Promise.all(bodies.map((body) => arena.post('/v1/chat/completions', body)));
        for (const answer of answers) if (answer.status !== 200) refusedInWords(answer);
        return bodies.length;
      },
    },
    {
      id: 'malformed/msgpack',
      does: 'frames that are no MessagePack map, or promise gigabytes',
      promise: '`malformed_frame`, the connection goes on; closed with 1007 at the eighth',
      inject: async (arena) => {
        for (const [name, frame] of FRAMES) {
          const socket = await arena.greeted();
          socket.send(frame);
          expect(await nextMessage(socket), name).toMatchObject({ type: 'error', code: 'malformed_frame' });
          socket.send(pack({ type: 'ping', nonce: 5 }));
          expect(await nextMessage(socket), name).toMatchObject({ type: 'pong', nonce: 5 });
          socket.terminate();
        }
        const socket = await arena.greeted();
        for (let i = 0; i < 8; i++) socket.send(FRAMES[1]![1]);
        expect((await closeOf(socket)).code).toBe(1007);
        return FRAMES.length + 8;
      },
    },
    {
      id: 'malformed/msgpack-by-chance',
      does: 'valid frames of every kind with bytes changed, left out and doubled by chance',
      promise: 'an answer or an `error`; the server goes on',
      inject: async (arena, random) => {
        let count = 0;
        for (let socketIndex = 0; socketIndex < 10; socketIndex++) {
          const socket = await arena.greeted();
          socket.on('message', () => {});
          for (let i = 0; i < 20; i++) socket.send(mutated(pack(validMessage(random)), random));
          count += 20;
          socket.send(pack({ type: 'ping', nonce: 4242 }));
          await answeredOrClosed(socket);
          socket.terminate();
        }
        return count;
      },
    },
    {
      id: 'malformed/responses-frames',
      does: 'text frames that are no JSON and binary frames on a Responses socket',
      promise: 'an `error` event each; closed with 1007 at the eighth',
      inject: async (arena) => {
        const frames = ['', '{', 'null', '[]', '{"type":1}', '{"type":', Buffer.from([1, 2]), '\ufeff'];
        const socket = await arena.webSocket('/v1/responses');
        const closed = closeOf(socket);
        let errors = 0;
        socket.on('message', (data) => {
          expect(JSON.parse(`${data}`)).toMatchObject({ type: 'error', status: 400 });
          errors++;
        });
        for (const frame of frames) socket.send(frame);
        expect((await closed).code).toBe(1007);
        expect(errors).toBe(frames.length);
        return frames.length;
      },
    },
  ],
};

function refusedInWords(answer: Awaited<ReturnType<Arena['post']>>): void {
  expect([400, 404, 413, 415]).toContain(answer.status);
  expect(answer.json, answer.text.slice(0, 200)).toMatchObject({ error: { message: expect.any(String) } });
}

function isObject(body: string | Uint8Array): boolean {
  try {
    const value: unknown = JSON.parse(`${body}`);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** A few of the bytes changed, lost or doubled. */
function mutated(bytes: Buffer, random: Random): Uint8Array {
  let result = [...bytes];
  for (let i = random.integer(1, 4); i > 0; i--) {
    const at = random.integer(0, result.length - 1);
    const kind = random.integer(0, 3);
    if (kind === 0) result[at] = random.integer(0, 255);
    else if (kind === 1) result.splice(at, 1);
    else if (kind === 2) result.splice(at, 0, result[at] ?? 0);
    else result = result.slice(0, Math.max(1, at));
  }
  return Uint8Array.from(result);
}

function validMessage(random: Random): object {
  const session = random.integer(0, 3);
  const kinds = [
    { type: 'session.open', session, request: 1, sampling: { temperature: 0 } },
    { type: 'session.append', session, request: 2, text: 'const a = 1;' },
    { type: 'session.append', session, tokens: [1, 2, 3] },
    { type: 'generate', session, generation: random.integer(0, 9), maxTokens: 2, logitBias: [[3, 1]] },
    { type: 'steer', session, generation: 3, running: 2, text: 'x', maxTokens: 2 },
    { type: 'cancel', session, generation: 1, keep: false },
    { type: 'session.edit', session, start: 0, count: 1, text: 'y' },
    { type: 'session.fork', session: 3, of: session, count: 1 },
    { type: 'session.resume', session, id: 'sess_nobody' },
    { type: 'sessions.list', request: 3 },
    { type: 'session.close', session },
  ];
  return kinds[random.integer(0, kinds.length - 1)]!;
}

async function nextMessage(socket: Awaited<ReturnType<Arena['greeted']>>): Promise<unknown> {
  const [data] = (await once(socket, 'message')) as [Buffer];
  return unpack(data);
}

/** The pong of a last ping, or the close: both say that the server has read everything before. */
function answeredOrClosed(socket: Awaited<ReturnType<Arena['greeted']>>): Promise<void> {
  return new Promise((resolve) => {
    socket.on('close', () => resolve());
    socket.on('message', (data: Buffer) => {
      const value = unpack(data) as { type?: unknown; nonce?: unknown };
      if (value.type === 'pong' && value.nonce === 4242) resolve();
    });
  });
}
