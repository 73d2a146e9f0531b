// The whole HTTP side over the real engine and a simulated device, in virtual time: what load, a shared prefix and
// callers that leave do to an answer and to the device.
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../kernels/clock.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { linearCostModel } from '../../kernels/sim/cost-model.ts';
import { Engine } from '../../server/engine/engine.ts';
import { ServerMetrics } from '../../server/metrics/metrics.ts';
import { BYTE_VOCAB_SIZE } from '../byte-text.ts';
import { httpServer } from '../http-world.ts';
import { type MemoryCall, MemoryTransport } from '../memory-transport.ts';

const limits = {
  replicaCount: 2,
  slotCount: 4,
  slotTokensMax: 2048,
  blockSize: 16,
  blockCount: 1024,
  rowTokensMax: 64,
  stepTokensMax: 256,
  sampleCountMax: 1,
  logprobsMax: 5,
  vocabSize: BYTE_VOCAB_SIZE,
};

async function world() {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0.1, tokenMs: 0.05, blockMs: 0.01 });
  const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
  const metrics = new ServerMetrics({ nodeMetrics: false });
  const bounds = {
    prefillChunkTokens: 64,
    prefillTokensPerStep: 64,
    overtakeMsPerToken: 0.2,
    classDelayMs: { turn: 0, side: 250, background: 2000 },
    queueLengthMax: 64,
    retryAfterMs: 1000,
  };
  const engine = new Engine(backend, clock, bounds, metrics);
  const { app } = httpServer({ clock, app: { engine, backend, metrics } });
  const transport = new MemoryTransport({ clock, sendBufferSizeMax: 2 ** 24 });
  await transport.listen('127.0.0.1', 0, app.handlers);
  const send = (body: object) => transport.call({ method: 'POST', path: '/v1/completions', body });
  const ask = (body: object) => {
    const call = send(body);
    clock.run();
    return call;
  };
  return { clock, engine, metrics, app, send, ask };
}

interface Completion {
  readonly choices: readonly { readonly text: string; readonly token_ids: readonly number[] }[];
  readonly usage: { readonly prompt_tokens_details: { readonly cached_tokens: number } };
}

function idsOf(call: MemoryCall): readonly number[] {
  const events = call.events.filter((event) => event !== '[DONE]') as Completion[];
  return events.flatMap(({ choices }) => choices.flatMap((choice) => choice.token_ids ?? []));
}

const requests = Array.from({ length: 32 }, (_, i) => ({
  prompt: `// file number ${i}\n${'let x = 0;\n'.repeat(i)}`,
  max_tokens: 20 + i,
  ignore_eos: true,
  stream: true,
  return_token_ids: true,
  temperature: i % 2, // greedy and drawn
  top_p: i % 4 === 3 ? 0.9 : 1,
  seed: i,
}));

describe('under load', () => {
  test('32 streams at once each give exactly what they give alone', async () => {
    const together = await world();
    const calls = requests.map((request) => together.send(request));
    together.clock.run();
    for (const [i, request] of requests.entries()) {
      const alone = (await world()).ask(request);
      expect(idsOf(calls[i]!)).toHaveLength(20 + i);
      expect(idsOf(calls[i]!)).toEqual(idsOf(alone));
    }
    together.engine.check();
    expect(together.engine.load).toMatchObject({ runningCount: 0, waitingCount: 0, kv: { inUseCount: 0 } });
  });

  test('the same requests give the same bytes', async () => {
    const run = async () => {
      const { clock, send } = await world();
      const calls = requests.map((request) => send(request));
      clock.run();
      return calls.map((call) => call.text);
    };
    expect(await run()).toEqual(await run());
  });
});

test('a second request with the same beginning computes only what is new, and says so', async () => {
  const { ask, metrics } = await world();
  const shared = 'x'.repeat(1000);
  const first = ask({ prompt: `${shared}one`, max_tokens: 1 }).json as Completion;
  const second = ask({ prompt: `${shared}two`, max_tokens: 1 }).json as Completion;
  expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
  expect(second.usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(960);
  const { text } = await metrics.render();
  const prefilled = Number(/step_tokens_total\{kind="prefill"\} (\d+)/.exec(text)![1]);
  expect(prefilled).toBe(2 * 1003 - second.usage.prompt_tokens_details.cached_tokens);
  expect(text).toContain(`sparklane_cached_tokens_total ${second.usage.prompt_tokens_details.cached_tokens}`);
  expect(text).toContain('sparklane_kv_blocks{state="in_use"} 0');
});

test('callers that leave give back seats and blocks, in the queue, in prefill and in decode', async () => {
  const { clock, engine, send, ask } = await world();
  const calls = Array.from({ length: 24 }, (_, i) =>
    send({ prompt: `${i}`.repeat(400), max_tokens: 500, ignore_eos: true, stream: i % 2 === 0 }),
  );
  clock.run(40);
  const { runningCount, waitingCount } = engine.load;
  expect(runningCount).toBe(8);
  expect(waitingCount).toBeGreaterThan(0);
  for (const call of calls) call.leave();
  clock.run(60);
  engine.check();
  expect(engine.load).toMatchObject({ runningCount: 0, waitingCount: 0, kv: { inUseCount: 0 } });
  expect(ask({ prompt: 'still there', max_tokens: 3 }).status).toBe(200);
});
