// The WebSocket mode over the real engine and a simulated device, in virtual time: what warm-ups, side requests and
// dropped sockets do to the device and to a person's turn.
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../kernels/clock.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { linearCostModel } from '../../kernels/sim/cost-model.ts';
import { Engine } from '../../server/engine/engine.ts';
import { ServerMetrics } from '../../server/metrics/metrics.ts';
import { BYTE_VOCAB_SIZE } from '../byte-text.ts';
import { httpServer } from '../http-world.ts';
import { type Json, ResponsesServer, responseOf } from '../responses-world.ts';

const limits = {
  replicaCount: 1,
  slotCount: 4,
  slotTokensMax: 8192,
  blockSize: 16,
  blockCount: 2048,
  rowTokensMax: 128,
  stepTokensMax: 132,
  sampleCountMax: 1,
  logprobsMax: 5,
  vocabSize: BYTE_VOCAB_SIZE,
};
const CHUNK_MS = 1 + 0.1 + 128 * 0.1; // one prefill chunk of 128 tokens

async function world(): Promise<ResponsesServer & { engine: Engine }> {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0.1, tokenMs: 0.1, blockMs: 0.01 });
  const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
  const metrics = new ServerMetrics({ nodeMetrics: false });
  const bounds = {
    prefillChunkTokens: 128,
    prefillTokensPerStep: 128,
    overtakeMsPerToken: 0.2,
    classDelayMs: { turn: 0, side: 250, background: 2000 },
    queueLengthMax: 64,
    retryAfterMs: 1000,
  };
  const engine = new Engine(backend, clock, bounds, metrics);
  const server = new ResponsesServer(clock, httpServer({ clock, app: { engine, backend, metrics } }), []);
  await server.transport.listen('127.0.0.1', 0, server.server.app.handlers);
  return Object.assign(server, { engine });
}

const history = [{ role: 'developer', content: 'You are Codex. '.repeat(250) }]; // 3,750 tokens and a little
const short = { store: false, max_output_tokens: 8, ignore_eos: true };

function cachedTokens(events: readonly Json[]): number {
  const { usage } = responseOf(events) as { usage: { input_tokens_details: { cached_tokens: number } } };
  return usage.input_tokens_details.cached_tokens;
}

describe('a dropped socket', () => {
  test.each([
    ['prefill', 200],
    ['decode', 450],
  ])('in %s stops within one step, and what was computed is found again', async (_phase, atMs) => {
    const server = await world();
    const client = server.connect();
    client.create({ ...short, max_output_tokens: 4000, input: history });
    await server.settle(atMs);
    expect(server.engine.load.runningCount).toBe(1);
    client.socket.disconnect();
    await server.settle(atMs + CHUNK_MS + 1);
    expect(server.engine.load.runningCount).toBe(0);
    server.engine.check();
    const again = await server.connect().ask({ ...short, input: history });
    const computedBefore = Math.min(3700, (atMs / CHUNK_MS - 2) * 128);
    expect(cachedTokens(again)).toBeGreaterThan(computedBefore);
  });

  test('while queued leaves nothing behind', async () => {
    const server = await world();
    const busy = Array.from({ length: 4 }, () => server.connect());
    for (const [i, client] of busy.entries()) {
      client.create({ ...short, max_output_tokens: 500, input: `busy ${i}` });
    }
    await server.settle(50);
    const client = server.connect();
    client.create({ ...short, input: history });
    await server.settle(60);
    expect(server.engine.load.waitingCount).toBe(1);
    client.socket.disconnect();
    await server.settle(80);
    expect(server.engine.load.waitingCount).toBe(0);
  });
});

describe('a warm-up', () => {
  test('is acknowledged at once and spares its turn the prompt', async () => {
    const server = await world();
    const client = server.connect();
    client.create({ ...short, generate: false, input: history });
    await server.settle(0.5);
    const previous_response_id = String(responseOf(client.take())['id']);
    await server.settle(1000);
    const input = [{ role: 'user', content: 'Hi' }];
    const startMs = server.clock.nowMs();
    client.create({ ...short, previous_response_id, input });
    await server.settle(startMs + 2 * CHUNK_MS + 8 * 1.3);
    const events = client.take();
    expect(events.at(-1)!['type']).toBe('response.incomplete'); // 8 tokens, all told
    expect(cachedTokens(events)).toBeGreaterThan(3700);
  });

  test('that is still computing delays a turn by no more than the step in flight', async () => {
    const delays: number[] = [];
    for (const warm of [false, true]) {
      const server = await world();
      const first = server.connect();
      if (warm) first.create({ ...short, generate: false, input: history });
      await server.settle(100);
      const client = server.connect();
      client.create({ ...short, input: 'A question of a few words' });
      for (let ms = 101; !client.take().some(({ type }) => type === 'response.output_text.delta'); ms++) {
        await server.settle(ms);
        delays[warm ? 1 : 0] = ms - 100;
      }
    }
    expect(delays[1]! - delays[0]!).toBeLessThanOrEqual(2 * CHUNK_MS + 1);
  });
});

test('a title that is asked for beside a turn lets the turn go first', async () => {
  const server = await world();
  const [title, turn] = [server.connect(), server.connect()];
  const format = { type: 'json_schema', name: 'codex_output_schema', schema: { type: 'object' } };
  title.create({ ...short, input: [...history, { role: 'user', content: 'A title?' }], text: { format } });
  await server.settle(40);
  turn.create({ ...short, input: [{ role: 'developer', content: 'Other rules. '.repeat(150) }] });
  await server.settle(40 + 17 * CHUNK_MS + 8 * (CHUNK_MS + 2)); // decode steps carry a chunk of the title
  expect(turn.take().at(-1)!['type']).toBe('response.incomplete');
  expect(title.take().at(-1)!['type']).toBe('response.in_progress');
  await server.settle();
  expect(title.take().at(-1)!['type']).toMatch(/^response\.(completed|incomplete)$/);
});

test('a steered answer goes on from its computed prefix', async () => {
  const server = await world();
  const client = server.connect();
  client.create({ ...short, max_output_tokens: 200, input: history });
  await server.settle(450);
  const id = String((client.take()[0]!['response'] as Json)['id']);
  client.send({ type: 'response.steer', previous_response_id: id, input: 'Shorter!' });
  await server.settle();
  const events = client.take();
  expect(responseOf(events)['previous_response_id']).toBe(id);
  expect(cachedTokens(events)).toBeGreaterThan(3700);
});
