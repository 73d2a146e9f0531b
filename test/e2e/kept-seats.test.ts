// Seats that keep the KV of an ended answer, on real kernels: a conversation says the same, bit by bit, whether each turn
// goes on in its seat or has everything copied there, whatever runs beside it, dies, or is left in the middle.
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TokenLogprobs } from '../../kernels/backend.ts';
import { WallClock } from '../../kernels/clock.ts';
import { Engine } from '../../server/engine/engine.ts';
import type { SequenceEnd, SequenceRequest } from '../../server/engine/request.ts';
import { buildTinyGraph, CpuRig, greedy, promptOf, type RigOptions, type TinyGraph } from '../cpu-rig.ts';
import { quietObserver } from '../sim/observer.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
const bounds = {
  ...{ prefillChunkTokens: 16, prefillTokensPerStep: 16, overtakeMsPerToken: 0 },
  ...{ classDelayMs: { turn: 0, side: 0, background: 0 }, queueLengthMax: 16, retryAfterMs: 1 },
};
const defaults = {
  ...{ maxTokens: 7, sampling: { ...greedy, logprobs: 5 }, constraint: null, ignoreStopTokens: true },
  ...{ speculation: null, priority: 'turn' as const, cacheSalt: '', deadlineMs: null },
};
let tiny: TinyGraph;

beforeAll(async () => {
  tiny = await buildTinyGraph(directory);
});

interface Answer {
  readonly tokens: number[];
  readonly logprobs: TokenLogprobs[];
  end: SequenceEnd | null;
}

async function open(keepsSeats: boolean, options: RigOptions = {}) {
  const rig = await CpuRig.open(tiny.graph, { ...options, sizes: { blockCount: 256, ...options.sizes } });
  const observer = quietObserver();
  const engine = new Engine(rig.backend, new WallClock(), { ...bounds, keepsSeats }, observer);
  const ask = (prompt: readonly number[], asked: Partial<SequenceRequest> & { stopAfter?: number } = {}) =>
    new Promise<Answer>((resolve) => {
      const answer: Answer = { tokens: [], logprobs: [], end: null };
      const { stopAfter = Number.POSITIVE_INFINITY, ...request } = asked;
      const submitted = engine.submit(
        { ...defaults, ...request, tokens: Int32Array.from(prompt) },
        {
          onTokens(tokens, _index, logprobs) {
            answer.tokens.push(...tokens);
            answer.logprobs.push(...(logprobs ?? []));
            if (answer.tokens.length >= stopAfter && submitted.ok) engine.cancel(submitted.sequenceId);
          },
          onEnd(end) {
            answer.end = end;
            resolve(answer);
          },
        },
      );
      if (!submitted.ok) throw new Error(submitted.message);
    });
  return { rig, engine, observer, ask };
}

const kinds: readonly (readonly [string, RigOptions])[] = [
  ['through c-api', {}],
  ['through binding', { runtime: 'binding' }],
  ['one round a step', { sizes: { roundsMax: 1 } }],
  [
    'with KV as int8',
    { int8Kv: { tokens: Int32Array.from(promptOf(9, 90)), file: join(directory, 'kept-scales.bin') } },
  ],
];

// How many tokens a stopped answer had is a matter of time: the conversation goes on from those that it had for sure, and
// more of them were computed.
const asks: readonly (Partial<SequenceRequest> & { kept: number; stopAfter?: number })[] = [
  { kept: 7 },
  { kept: 3, maxTokens: 60, stopAfter: 8 },
  { kept: 7, speculation: { draftTokensMax: 4, prediction: Int32Array.of(1, 2, 3, 4) } },
  { kept: 7 },
];

describe.each(kinds)('%s,', (_name, options) => {
  test('turns say the same with kept seats and without, beside others that come and go', async () => {
    const told: Answer[][] = [];
    for (const keepsSeats of [true, false]) {
      const { rig, engine, observer, ask } = await open(keepsSeats, options);
      const answers: Answer[] = [];
      let prompt = promptOf(1, 21);
      for (const [turn, { kept, ...asked }] of asks.entries()) {
        const answer = ask(prompt, asked);
        const beside = [5, 6].map((seed) => ask(promptOf(seed + 2 * turn, 9), { maxTokens: 3 + turn }));
        answers.push(await answer);
        await Promise.all(beside);
        prompt = [...prompt, ...answers.at(-1)!.tokens.slice(0, kept), ...promptOf(30 + turn, 5)];
        engine.check();
      }
      expect(observer.keptTokens > 0).toBe(keepsSeats);
      expect(engine.load).toMatchObject({ runningCount: 0, waitingCount: 0, kv: { inUseCount: 0 } });
      told.push(answers);
      await rig.backend.close();
    }
    for (const [turn, { tokens, logprobs }] of told[0]!.entries()) {
      const { kept } = asks[turn]!;
      expect(tokens.slice(0, kept)).toEqual(told[1]![turn]!.tokens.slice(0, kept));
      expect(logprobs.slice(0, kept)).toEqual(told[1]![turn]!.logprobs.slice(0, kept));
    }
  });

  test('a worker that dies takes the kept seats along, and the next turn says what it would have said', async () => {
    const { rig, engine, observer, ask } = await open(true, options);
    const prompt = promptOf(1, 21);
    const first = await ask(prompt);
    const next = [...prompt, ...first.tokens, ...promptOf(2, 5)];
    rig.backend.injectFault(0, 'exit');
    const failed = await ask(promptOf(3, 9));
    expect(failed.end).toMatchObject({ reason: 'failed', failure: { code: 'worker-died' } });
    const second = await ask(next);
    expect(observer.keptTokens).toBe(0);
    const third = await ask([...next, ...second.tokens, ...promptOf(4, 5)]);
    expect(observer.keptTokens).toBe(36);
    engine.check();
    await rig.backend.close();
    const other = await open(false, options);
    expect(await other.ask(prompt)).toMatchObject({ tokens: first.tokens, logprobs: first.logprobs });
    expect(await other.ask(next)).toMatchObject({ tokens: second.tokens, logprobs: second.logprobs });
    expect(await other.ask([...next, ...second.tokens, ...promptOf(4, 5)])).toMatchObject({
      tokens: third.tokens,
      logprobs: third.logprobs,
    });
    await other.rig.backend.close();
  });

  test('a worker that dies while nobody sits costs no answer its truth', async () => {
    const { rig, ask } = await open(true, options);
    const prompt = promptOf(1, 21);
    const first = await ask(prompt);
    await rig.backend.terminateWorker(0);
    const next = [...prompt, ...first.tokens, ...promptOf(2, 5)];
    let second = await ask(next);
    // Seats that were the worker's own are gone, which the next step finds out; those in shared memory outlive it.
    if (second.end!.reason === 'failed') second = await ask(next);
    await rig.backend.close();
    const other = await open(false, options);
    await other.ask(prompt);
    expect(await other.ask(next)).toMatchObject({ tokens: second.tokens, logprobs: second.logprobs });
    await other.rig.backend.close();
  });
});
