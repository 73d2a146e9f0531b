import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { Random } from '../../../../kernels/random.ts';
import type { SequenceRequest } from '../../../../server/engine/request.ts';
import {
  type GenerationDelta,
  type GenerationEnd,
  type GenerationRequest,
  type RunningGeneration,
  TextGenerator,
} from '../../../../server/generation/generation.ts';
import { BYTE_EOS, ByteText, encodeBytes } from '../../../byte-text.ts';
import { greedyRequest } from '../../../greedy-request.ts';
import { ScriptedEngine, type ScriptedEngineOptions } from '../../../scripted-engine.ts';

const defaults: GenerationRequest = { ...greedyRequest, tokens: encodeBytes('prompt'), seed: 17 };

function setup(says: string | readonly number[], options: Partial<ScriptedEngineOptions> = {}) {
  const clock = new VirtualClock();
  const submitted: SequenceRequest[] = [];
  const tokens = typeof says === 'string' ? [...encodeBytes(says), BYTE_EOS] : says;
  const engine = new ScriptedEngine({
    clock,
    script: (request) => {
      submitted.push(request);
      return { tokens };
    },
    ...options,
  });
  const generator = new TextGenerator({
    engine,
    stopTokenIds: [BYTE_EOS],
    openText: () => new ByteText(),
    random: new Random(1),
  });
  const deltas: GenerationDelta[] = [];
  const ends: GenerationEnd[] = [];
  const sink = {
    onDelta: (delta: GenerationDelta) => void deltas.push(delta),
    onEnd: (end: GenerationEnd) => void ends.push(end),
  };
  const start = (request: Partial<GenerationRequest> = {}) =>
    generator.start({ ...defaults, ...request }, sink);
  const text = (choice = 0) =>
    deltas
      .filter((delta) => delta.choice === choice)
      .map((delta) => delta.text)
      .join('');
  return { clock, engine, start, deltas, ends, text, submitted };
}

function accepted(result: ReturnType<TextGenerator['start']>): RunningGeneration {
  if (!result.ok) throw new Error(result.message);
  return result;
}

test('tokens become text, the stop token ends it without text, usage is carried', () => {
  const { clock, start, deltas, ends, text } = setup('hi', { cachedTokens: 4 });
  start();
  clock.run();
  expect(text()).toBe('hi');
  expect(deltas.map(({ tokens, index }) => ({ tokens, index }))).toEqual([
    { tokens: [104], index: 0 },
    { tokens: [105], index: 1 },
    { tokens: [BYTE_EOS], index: 2 },
  ]);
  expect(ends).toEqual([
    {
      choice: 0,
      reason: 'stop',
      stopString: null,
      failure: null,
      promptTokens: 6,
      cachedTokens: 4,
      acceptedDraftTokens: 0,
      rejectedDraftTokens: 0,
      outputTokens: 3,
      queueMs: 1,
      missReason: null,
      lastTurn: null,
    },
  ]);
});

test('tokens that come together make one delta', () => {
  const { clock, start, deltas } = setup('abcd', { tokensPerStep: 4 });
  start();
  clock.run();
  expect(deltas.map((delta) => delta.text)).toEqual(['abcd', '']);
});

test('a character is shown once it is whole; one cut off by the end becomes a replacement character', () => {
  const { clock, start, deltas, text, ends } = setup('é€');
  start({ maxTokens: 3 });
  clock.run();
  expect(deltas.map((delta) => delta.text)).toEqual(['', 'é', '', '\ufffd']);
  expect(deltas.at(-1)).toMatchObject({ tokens: [], index: 3 });
  expect([text(), ends[0]!.reason]).toEqual(['é\ufffd', 'length']);
});

test('a stop string across tokens ends the choice before it, cancels the sequence and drops later tokens', () => {
  const { clock, engine, start, text, ends, deltas } = setup('one\n\ntwo', { tokensPerStep: 3 });
  start({ stopStrings: ['\n\n', 'tw'] });
  clock.run();
  expect(text()).toBe('one');
  expect(ends[0]).toMatchObject({ reason: 'stop', stopString: '\n\n', outputTokens: 5, failure: null });
  expect(deltas.flatMap((delta) => [...delta.tokens])).toEqual([...encodeBytes('one\n\n')]);
  expect(engine.activeCount).toBe(0);
});

test('a stop string that does not come is shown at the end', () => {
  const { clock, start, text, ends } = setup('a</sto');
  start({ stopStrings: ['</stop>'] });
  clock.run();
  expect([text(), ends[0]!.stopString]).toEqual(['a</sto', null]);
});

test('no stop string begins within the promised minimum of tokens', () => {
  const { clock, start, text } = setup('xx-xx-');
  start({ stopStrings: ['xx'], minTokens: 3 });
  clock.run();
  expect(text()).toBe('xx-');
});

test('ignored stop tokens are tokens like any other', () => {
  const { clock, start, text, ends } = setup([104, BYTE_EOS, 105]);
  start({ ignoreStopTokens: true });
  clock.run();
  expect([text(), ends[0]!.outputTokens]).toEqual(['hi', 3]);
});

test('choices share the seed and differ in stream; a request without a seed gets one', () => {
  const { start, submitted } = setup('x');
  start({ choiceCount: 2, seed: 5 });
  start({ choiceCount: 2, seed: null });
  expect(submitted.map(({ sampling }) => sampling.stream)).toEqual([0, 1, 0, 1]);
  expect(submitted.slice(0, 2).map(({ sampling }) => sampling.seed)).toEqual([5, 5]);
  expect(submitted[2]!.sampling.seed).toBe(submitted[3]!.sampling.seed);
  expect(submitted[0]!.sampling).toMatchObject({ stopTokenIds: [BYTE_EOS], minTokens: 0, temperature: 0 });
});

test('every choice is told apart and ends once', () => {
  const { clock, start, text, ends } = setup('ok');
  start({ choiceCount: 3 });
  clock.run();
  expect([text(0), text(1), text(2)]).toEqual(['ok', 'ok', 'ok']);
  expect(ends.map((end) => end.choice)).toEqual([0, 1, 2]);
});

test('when one choice is refused none runs and nobody is told', () => {
  const { clock, engine, start, deltas, ends } = setup('ok', { slotCount: 1, queueLengthMax: 1 });
  expect(start({ choiceCount: 3 })).toMatchObject({ ok: false, reason: 'queue-full', retryAfterMs: 1500 });
  clock.run();
  expect([engine.activeCount, deltas.length, ends.length]).toEqual([0, 0, 0]);
});

test('cancel ends all choices with what they have', () => {
  const { clock, start, ends, text, engine } = setup('a long answer');
  const generation = accepted(start({ choiceCount: 2 }));
  clock.run(3);
  generation.cancel();
  clock.run();
  expect(ends.map((end) => end.reason)).toEqual(['cancelled', 'cancelled']);
  expect([text(0), engine.activeCount]).toEqual(['a l', 0]);
  generation.cancel();
});

test('a paused generation says nothing until it is resumed', () => {
  const { clock, start, text } = setup('abcdef');
  const generation = accepted(start());
  clock.run(2);
  generation.pause();
  clock.run(50);
  expect(text()).toBe('ab');
  generation.resume();
  clock.run();
  expect(text()).toBe('abcdef');
});

test('a failure reaches the reader as it is, after the text that was safe', () => {
  const failure = { code: 'worker-died', message: 'replica 0 lost its worker' } as const;
  const { clock, start, text, ends } = setup('', {
    script: () => ({ tokens: [...encodeBytes('abc')], failure }),
  });
  start({ stopStrings: ['cd'] });
  clock.run();
  expect(text()).toBe('abc');
  expect(ends[0]).toMatchObject({ reason: 'failed', failure, outputTokens: 3 });
});

test('logprobs stay parallel to the tokens, also where a stop string cuts them', () => {
  const logprobs = (token: number) => ({ logprob: -token, topTokens: [token], topLogprobs: [-token] });
  const tokens = [...encodeBytes('ab.c')];
  const { clock, start, deltas } = setup('', { tokensPerStep: 4, script: () => ({ tokens, logprobs }) });
  start({ logprobs: 1, stopStrings: ['.'] });
  clock.run();
  expect(deltas).toHaveLength(1);
  expect(deltas[0]!.tokens).toEqual([...encodeBytes('ab.')]);
  expect(deltas[0]!.logprobs!.map(({ logprob }) => logprob)).toEqual([-97, -98, -46]);
});

test('zero tokens end with length and no delta', () => {
  const { clock, start, deltas, ends } = setup('abc');
  start({ maxTokens: 0 });
  clock.run();
  expect([deltas.length, ends[0]!.reason, ends[0]!.outputTokens]).toEqual([0, 'length', 0]);
});

test('text that may go no further frees its seat, however many tokens were asked for', () => {
  const { clock, engine, start, ends, text } = setup('0123456789'.repeat(20));
  let left = 3;
  const newCutoff = () => ({ push: (shown: string) => ({ shown, ends: --left === 0 }) });
  start({ newCutoff, maxTokens: 100 });
  clock.run(10);
  expect([text(), engine.activeCount]).toEqual(['012', 0]);
  expect(ends).toMatchObject([{ reason: 'length', outputTokens: 3, failure: null }]);
});
