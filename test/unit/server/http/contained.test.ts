// What one caller brings about throws: he is told, the log has it, and nobody else hears of it.
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { SimBackend } from '../../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../../kernels/sim/cost-model.ts';
import { containedClock } from '../../../../server/base/contained.ts';
import { createLog } from '../../../../server/base/log.ts';
import { Engine } from '../../../../server/engine/engine.ts';
import { HttpDoor, type SocketRoute } from '../../../../server/http/door.ts';
import { TrustedProxies } from '../../../../server/http/forwarded.ts';
import { Guard } from '../../../../server/http/guard.ts';
import { type Route, routesIn } from '../../../../server/http/route.ts';
import type { SocketEvents } from '../../../../server/listeners/transport.ts';
import { ServerMetrics } from '../../../../server/metrics/metrics.ts';
import { LongTexts } from '../../../../server/text/long-texts.ts';
import { BYTE_VOCAB_SIZE } from '../../../byte-text.ts';
import { httpServer, wholeByteModel } from '../../../http-world.ts';
import { MemorySocket } from '../../../memory-socket.ts';
import { type MemoryRequest, MemoryTransport } from '../../../memory-transport.ts';
import { quietObserver } from '../../../sim/observer.ts';

const broken = (): never => {
  throw new Error('broken');
};

function logged() {
  const lines: string[] = [];
  return {
    lines,
    log: createLog({ level: 'info', write: (line) => void lines.push(line), epochMs: () => 0 }),
  };
}

describe('an answer that cannot be told', () => {
  const limits = {
    ...{ replicaCount: 1, slotCount: 8, slotTokensMax: 256, blockSize: 4, blockCount: 512, rowTokensMax: 64 },
    ...{ stepTokensMax: 256, sampleCountMax: 5, logprobsMax: 5, vocabSize: BYTE_VOCAB_SIZE },
  };
  const bounds = {
    ...{ prefillChunkTokens: 64, prefillTokensPerStep: 64, overtakeMsPerToken: 1, queueLengthMax: 10 },
    ...{ retryAfterMs: 500, classDelayMs: { turn: 0, side: 100, background: 1000 } },
  };

  /** A real engine on a simulated device; a model whose tokens lose their bytes, which only log-probabilities ask for. */
  async function world() {
    const clock = new VirtualClock();
    const costModel = linearCostModel({ stepMs: 1, rowMs: 0, tokenMs: 0, blockMs: 0 });
    const errors: string[] = [];
    const observer = {
      ...quietObserver(),
      onRequestError: ({ message }: Error) => void errors.push(message),
    };
    const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
    const engine = new Engine(backend, clock, bounds, observer);
    const { tokenizer } = wholeByteModel;
    const bytes = { lost: false };
    const tokenBytes = (id: number) => (bytes.lost ? broken() : tokenizer.tokenBytes(id));
    const model = { ...wholeByteModel, tokenizer: { ...tokenizer, tokenBytes } };
    const { app } = httpServer({ clock, app: { engine, model } });
    const transport = new MemoryTransport({ clock });
    await transport.listen('127.0.0.1', 0, app.handlers);
    const ask = (path: string, body: object) => transport.call({ method: 'POST', path, body });
    return { clock, engine, errors, bytes, ask };
  }

  const chat = { messages: [{ role: 'user', content: 'a' }], max_tokens: 6, ignore_eos: true, seed: 1 };
  const response = { input: 'a', max_output_tokens: 6, ignore_eos: true, seed: 1 };
  const include = ['message.output_text.logprobs'];

  test.each<readonly [string, object]>([
    ['/v1/chat/completions', { ...chat, logprobs: true }],
    ['/v1/chat/completions', { ...chat, logprobs: true, n: 3 }],
    ['/v1/chat/completions', { ...chat, logprobs: true, stream: true }],
    ['/v1/completions', { prompt: 'a', max_tokens: 6, ignore_eos: true, logprobs: 1 }],
    ['/completion', { prompt: 'a', n_predict: 6, ignore_eos: true, n_probs: 1 }],
    ['/v1/responses', { ...response, include }],
    ['/v1/responses', { ...response, include, stream: true }],
  ])('%s %j', async (path, body) => {
    const { clock, engine, errors, bytes, ask } = await world();
    const others = [1, 2, 3].map((seed) => ({ prompt: 'b', max_tokens: 9, ignore_eos: true, seed }));
    const texts = (calls: readonly { readonly json: unknown }[]) =>
      calls.map(({ json }) => (json as { choices: { text: string }[] }).choices[0]!.text);
    const alone = others.map((other) => ask('/v1/completions', other));
    clock.run();
    const [first, second] = [ask('/v1/completions', others[0]!), ask('/v1/completions', others[1]!)];
    const failing = ask(path, body);
    const third = ask('/v1/completions', others[2]!);
    while (engine.load.runningCount === 0) clock.step();
    bytes.lost = true;
    clock.run();
    expect(texts([first, second, third])).toEqual(texts(alone));
    expect(failing.ended).toBe(true);
    expect(failing.text).toMatch(/"code":"(internal_error|server_error)"/);
    if (!('stream' in body)) expect(failing.status).toBe(500);
    expect(errors).toContain('broken');
    engine.check();
    expect(engine.load.runningCount + engine.load.waitingCount).toBe(0);
  });
});

describe('what the transport calls', () => {
  const table = routesIn('tests');
  const none: SocketEvents = { onMessage: () => {}, onWritable: () => {}, onClose: () => {} };

  async function world(routes: readonly Route[], open: SocketRoute['open'] = () => none) {
    const clock = new VirtualClock();
    const { lines, log } = logged();
    const proxies = new TrustedProxies([]);
    const guard = new Guard({ apiKeys: [], corsOrigins: [], host: '127.0.0.1', proxies });
    const metrics = new ServerMetrics({ nodeMetrics: false });
    const texts = new LongTexts(wholeByteModel.tokenizer, null);
    const limits = {
      bodySizeMax: 1e6,
      bodyValuesMax: 1e5,
      connectionCountMax: 9,
      ungreetedSocketCountMax: 9,
    };
    const parts = { guard, proxies, ...limits, clock, freshId: () => '1', log, metrics, texts };
    const fine = table.get('/fine', 'Works', (call) => call.reply(200, {}));
    const socket = { path: '/socket', keyFollows: false, open };
    const door = new HttpDoor(parts, [...routes, fine], [socket]);
    const transport = new MemoryTransport({ clock });
    await transport.listen('127.0.0.1', 0, door);
    const ask = (request: MemoryRequest) => transport.call(request);
    const isFine = () => {
      const call = ask({ path: '/fine' });
      clock.run();
      return call.status === 200;
    };
    let idle = false;
    door.whenIdle(() => {
      idle = true;
    });
    return { clock, lines, ask, transport, isFine, isIdle: () => idle };
  }

  test.each<readonly [string, Route['answer']]>([
    ['its caller left', (call) => call.onAbort(broken)],
    ['it was over', (call) => call.onOver(broken)],
    ['it read its body', (call) => call.peekJson(broken)],
  ])('a request throws when %s: the log has it, its place is free', async (_, answer) => {
    const { clock, lines, ask, isFine, isIdle } = await world([table.post('/broken', 'Throws', answer)]);
    const call = ask({ method: 'POST', path: '/broken', body: {} });
    clock.run();
    call.leave();
    clock.run();
    expect([isFine(), isIdle(), lines.length]).toEqual([true, true, 1]);
    expect(lines[0]).toContain('broken');
  });

  test('a stream throws when its reader has caught up: it ends with an error', async () => {
    const answer: Route['answer'] = (call) => {
      call.begin(200, {});
      call.onWritable(broken);
      call.write('x'.repeat(5000));
    };
    const { clock, lines, ask, isFine } = await world([table.get('/broken', 'Throws', answer)]);
    const call = ask({ path: '/broken' });
    clock.run();
    expect([isFine(), call.ended, lines.length]).toEqual([true, true, 1]);
    expect(call.text).toContain('"code":"internal_error"');
  });

  test.each<readonly [string, SocketRoute['open']]>([
    ['opens', broken],
    ['gets a message', () => ({ ...none, onMessage: broken })],
    ['closes', () => ({ ...none, onClose: broken })],
  ])('a socket throws when it %s: it alone is closed', async (_, open) => {
    const { clock, lines, transport, isFine } = await world([], open);
    const socket = transport.upgrade('/socket') as MemorySocket;
    expect(socket).toBeInstanceOf(MemorySocket);
    socket.transmit(new Uint8Array(3));
    clock.run();
    socket.disconnect();
    clock.run();
    expect([isFine(), lines.length]).toEqual([true, 1]);
    expect(lines[0]).toContain('broken');
    expect([1006, 1011]).toContain(socket.closedWith?.code);
  });
});

test('a timer throws: the log has it, the others fire', () => {
  const [clock, { lines, log }] = [new VirtualClock(), logged()];
  const calm = containedClock(clock, log);
  const fired: string[] = [];
  calm.defer(broken);
  calm.schedule(5, broken);
  calm.schedule(5, () => void fired.push(`at ${calm.nowMs()}`));
  calm.schedule(6, broken).cancel();
  clock.run();
  expect([fired, lines.length]).toEqual([['at 5'], 2]);
  expect(() => {
    clock.defer(broken);
    clock.run();
  }).toThrow('broken');
});
