// Code that a request brings along throws in the middle of a step that others share: that request fails, and nobody else hears of it.
import { expect, test } from 'vitest';
import { greedySampling } from '../../../kernels/backend.ts';
import { VirtualClock } from '../../../kernels/clock.ts';
import { SimBackend } from '../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../kernels/sim/cost-model.ts';
import { Engine } from '../../../server/engine/engine.ts';
import type {
  SequenceEnd,
  SequenceRequest,
  SequenceSink,
  TokenConstraint,
} from '../../../server/engine/request.ts';
import { quietObserver } from '../../sim/observer.ts';
import { oracleAnswer } from '../../sim/oracle.ts';

const limits = {
  ...{ replicaCount: 1, slotCount: 4, slotTokensMax: 128, blockSize: 4, blockCount: 128, rowTokensMax: 16 },
  ...{ stepTokensMax: 96, sampleCountMax: 5, logprobsMax: 5, vocabSize: 32 },
};
const bounds = {
  ...{
    prefillChunkTokens: 8,
    prefillTokensPerStep: 8,
    overtakeMsPerToken: 1,
    queueLengthMax: 10,
    retryAfterMs: 500,
  },
  classDelayMs: { turn: 0, side: 100, background: 1000 },
};
const oracle = { vocabSize: limits.vocabSize, contextTokensMax: limits.slotTokensMax };
const speculation = { draftTokensMax: 4, prediction: null };
const broken = () => {
  throw new Error('broken');
};

function ask(from: number, change: Partial<SequenceRequest> = {}): SequenceRequest {
  return {
    tokens: Int32Array.from({ length: 10 }, (_, index) => (from + index * 3) % limits.vocabSize),
    ...{ maxTokens: 20, sampling: greedySampling, constraint: null, ignoreStopTokens: true, speculation },
    ...{ priority: 'turn', cacheSalt: '', deadlineMs: null },
    ...change,
  };
}

function world() {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0, tokenMs: 0, blockMs: 0 });
  const errors: string[] = [];
  const observer = { ...quietObserver(), onRequestError: ({ message }: Error) => void errors.push(message) };
  const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
  const engine = new Engine(backend, clock, bounds, observer);
  const submit = (request: SequenceRequest, change: Partial<SequenceSink> = {}) => {
    const heard = { tokens: [] as number[], end: null as SequenceEnd | null };
    const sink: SequenceSink = {
      onTokens: (tokens) => void heard.tokens.push(...tokens),
      onEnd: (end) => {
        heard.end = end;
      },
      ...change,
    };
    expect(engine.submit(request, sink).ok).toBe(true);
    return heard;
  };
  const runAll = () => {
    while (clock.step()) engine.check();
  };
  return { engine, errors, submit, runAll };
}

/** Allows all, until the `count`th time that it is asked `where`. */
function constraint(where: 'mask' | 'accept' | 'fork', count: number): TokenConstraint {
  let left = count;
  const asked = (what: string) => {
    if (what === where && --left <= 0) broken();
  };
  const ahead: TokenConstraint = { mask: () => null, accept: () => {}, fork: () => ahead };
  return {
    mask: () => {
      asked('mask');
      return null;
    },
    accept: () => asked('accept'),
    fork: () => {
      asked('fork');
      return ahead;
    },
  };
}

function foreseen() {
  const prediction = Int32Array.from(oracleAnswer(ask(7), oracle).tokens);
  return { draftTokensMax: 4, prediction };
}

const faults: readonly [string, Partial<SequenceRequest>, Partial<SequenceSink>, number][] = [
  ['its constraint, asked for the first mask', { constraint: constraint('mask', 1) }, {}, 0],
  ['its constraint, asked for a later mask', { constraint: constraint('mask', 4), speculation: null }, {}, 3],
  ['its constraint, told a token', { constraint: constraint('accept', 4), speculation: null }, {}, 3],
  [
    'its constraint, asked to look ahead',
    { constraint: constraint('fork', 1), speculation: foreseen() },
    {},
    1,
  ],
  ['its end', { endsWith: broken }, {}, 0],
  ['its reader of tokens', {}, { onTokens: broken }, 0],
];

test.each(faults)(
  '%s throws: it fails with an internal error, the others’ answers stay as they are',
  (_, change, sink, told) => {
    const { engine, errors, submit, runAll } = world();
    const others = [1, 2, 3].map((from) => ask(from));
    const [before, ...after] = [
      submit(others[0]!),
      submit(ask(7, change), sink),
      ...others.slice(1).map((one) => submit(one)),
    ];
    const [failing, ...rest] = after;
    runAll();
    expect(failing!.end).toMatchObject({
      reason: 'failed',
      failure: { code: 'request-threw', message: 'an internal error; the log has it' },
    });
    const whole = oracleAnswer(ask(7), oracle).tokens;
    expect(failing!.tokens).toEqual(whole.slice(0, told));
    expect(errors).toEqual(['broken']);
    for (const [index, { tokens, end }] of [before!, ...rest].entries()) {
      expect(tokens).toEqual(oracleAnswer(others[index]!, oracle).tokens);
      expect(end!.reason).toBe('length');
    }
    expect(engine.load.runningCount + engine.load.waitingCount).toBe(0);
  },
);

test('a reader of ends throws: all others that ended with it are told', () => {
  const { errors, submit, runAll } = world();
  submit(ask(1), { onEnd: broken });
  const others = [2, 3, 4].map((from) => submit(ask(from)));
  runAll();
  expect(others.map(({ end }) => end?.reason)).toEqual(['length', 'length', 'length']);
  expect(errors).toEqual(['broken']);
});
