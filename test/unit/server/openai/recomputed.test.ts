// Why a prompt was computed, through the engine itself: in usage of every dialect, in a header, in the log's line without text.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { SimBackend } from '../../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../../kernels/sim/cost-model.ts';
import { Engine } from '../../../../server/engine/engine.ts';
import { BYTE_VOCAB_SIZE } from '../../../byte-text.ts';
import { httpServer } from '../../../http-world.ts';
import { MemoryTransport } from '../../../memory-transport.ts';
import { quietObserver } from '../../../sim/observer.ts';

const limits = {
  ...{ replicaCount: 1, slotCount: 2, slotTokensMax: 1024, blockSize: 16, blockCount: 256 },
  ...{ rowTokensMax: 128, stepTokensMax: 256, sampleCountMax: 1, logprobsMax: 5, vocabSize: BYTE_VOCAB_SIZE },
};
const bounds = {
  ...{ prefillChunkTokens: 128, prefillTokensPerStep: 128, overtakeMsPerToken: 1 },
  ...{ classDelayMs: { turn: 0, side: 0, background: 0 }, queueLengthMax: 8, retryAfterMs: 500 },
};

async function world() {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0, tokenMs: 0, blockMs: 0 });
  const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
  const engine = new Engine(backend, clock, bounds, quietObserver());
  const server = httpServer({ clock, app: { engine: engine as never, backend: { name: 'sim', limits } } });
  const transport = new MemoryTransport({ clock });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  const ask = (path: string, body: object) => {
    const call = transport.call({ method: 'POST', path, body: { max_tokens: 2, temperature: 0, ...body } });
    clock.run();
    return call;
  };
  return { ask, logLines: server.logLines };
}

interface Prefix {
  readonly cached_tokens: number;
  readonly computed_tokens: number;
  readonly reason: string;
  readonly last_turn_tokens?: number;
  readonly broken_by?: {
    readonly part: string;
    readonly how: string;
    readonly was: string;
    readonly now: string;
  };
}

const prefixOf = (usage: unknown) => (usage as { sparklane: { prefix: Prefix } }).sparklane.prefix;

const long = 'Answer in one word, please, whatever it is that somebody asks you about.';
const turns = [
  { role: 'system', content: `${long} It is 12:03.` },
  { role: 'user', content: 'What is a monad, and why would anybody who writes programs care?' },
];
const later = [...turns, { role: 'assistant', content: 'Burrito.' }, { role: 'user', content: 'Really?' }];

test('a conversation that goes on is found, one whose instructions change is told which and where', async () => {
  const { ask, logLines } = await world();
  const first = ask('/v1/chat/completions', { messages: turns });
  expect(prefixOf((first.json as { usage: unknown }).usage)).toMatchObject({
    cached_tokens: 0,
    reason: 'new',
  });
  const second = ask('/v1/chat/completions', { messages: later });
  const grown = prefixOf((second.json as { usage: unknown }).usage);
  expect(grown).toMatchObject({ reason: 'grown' });
  expect(grown.cached_tokens).toBeGreaterThan(100);
  expect(grown.broken_by).toBeUndefined();
  const changed = [{ role: 'system', content: `${long} It is 12:59.` }, ...later.slice(1)];
  const third = ask('/v1/chat/completions', { messages: changed });
  const broken = prefixOf((third.json as { usage: unknown }).usage);
  expect(broken).toMatchObject({ reason: 'differs', broken_by: { part: 'messages[0]', how: 'changed' } });
  expect([broken.broken_by!.was.includes('03.'), broken.broken_by!.now.includes('59.')]).toEqual([
    true,
    true,
  ]);
  expect(third.headers['x-sparklane-prefix']).toMatch(
    /^cached=\d+; computed=\d+; reason=differs; last-turn=\d+; shared=\d+; broken-by=messages\[0\]; how="changed"$/,
  );
  const line = JSON.parse(logLines.findLast((text) => text.includes('"answer"'))!) as object;
  expect(line).toMatchObject({ prefix: 'differs', brokenBy: 'messages[0] changed' });
  expect(JSON.stringify(line)).not.toContain('59');
});

test('every dialect says it', async () => {
  const { ask } = await world();
  const usages = [
    (ask('/v1/completions', { prompt: long }).json as { usage: unknown }).usage,
    (ask('/v1/messages', { model: 'bytes', messages: turns.slice(1) }).json as { usage: unknown }).usage,
    (ask('/v1/responses', { input: long }).json as { usage: unknown }).usage,
    ask('/api/chat', { model: 'bytes', messages: turns, stream: false }).json,
    ask('/infill', { input_prefix: long, input_suffix: long, n_predict: 2 }).json,
  ];
  for (const usage of usages) expect(prefixOf(usage)).toMatchObject({ reason: expect.any(String) });
  const stream = ask('/v1/chat/completions', { messages: later, stream: true });
  expect(stream.headers['x-sparklane-prefix']).toMatch(/^last-turn=\d+; shared=\d+$/);
  const last = stream.events.at(-2) as { usage: unknown };
  expect(prefixOf(last.usage).cached_tokens).toBeGreaterThan(100);
});

test('of several prompts in one request nothing is said: each has its own reason', async () => {
  const { ask } = await world();
  const call = ask('/v1/completions', { prompt: [long, 'b'] });
  expect((call.json as { usage: object }).usage).not.toHaveProperty('sparklane');
});
