// The engine and a simulated device keep to a grammar, with other sequences around and draws of any temperature.
import { expect, test } from 'vitest';
import { type BackendLimits, greedySampling } from '../../../kernels/backend.ts';
import { VirtualClock } from '../../../kernels/clock.ts';
import { SimBackend } from '../../../kernels/sim/backend.ts';
import { linearCostModel } from '../../../kernels/sim/cost-model.ts';
import { Engine } from '../../../server/engine/engine.ts';
import { openCompiler, stopTokenId, tokenizer, vocabSize } from '../../grammar-rig.ts';
import { quietObserver } from '../../sim/observer.ts';

const limits: BackendLimits = {
  replicaCount: 1,
  slotCount: 4,
  slotTokensMax: 1024,
  blockSize: 16,
  blockCount: 256,
  rowTokensMax: 64,
  stepTokensMax: 128,
  sampleCountMax: 5,
  logprobsMax: 0,
  vocabSize,
};

const schema = {
  type: 'array',
  minItems: 1,
  maxItems: 4,
  items: {
    type: 'object',
    properties: {
      kind: { enum: ['open', 'closed'] },
      count: { type: 'integer', minimum: 0, maximum: 99 },
      name: { type: 'string', pattern: '^[a-z]{1,8}$' },
      flag: { type: ['boolean', 'null'] },
    },
    required: ['kind', 'count', 'name', 'flag'],
    additionalProperties: false,
  },
};

interface Answer {
  readonly tokens: number[];
  reason: string;
  readonly isConstrained: boolean;
  acceptedCount: number;
}

/** 30 sequences, two in three of them constrained; `guessing`: they may guess what comes next. */
async function answersOf(guessing: boolean): Promise<Answer[]> {
  const compiler = openCompiler();
  const { newConstraint } = await compiler.run(
    compiler.compile({ kind: 'json-schema', schema, strict: true }),
  );
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0, tokenMs: 0, blockMs: 0 });
  const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
  const bounds = {
    prefillChunkTokens: 32,
    prefillTokensPerStep: 32,
    overtakeMsPerToken: 1,
    classDelayMs: { turn: 0, side: 100, background: 1000 },
    queueLengthMax: 100,
    retryAfterMs: 500,
  };
  const engine = new Engine(backend, clock, bounds, quietObserver());
  const answers: Answer[] = [];
  for (let seed = 0; seed < 30; seed++) {
    const isConstrained = seed % 3 !== 2;
    const answer: Answer = { tokens: [], reason: '', isConstrained, acceptedCount: 0 };
    answers.push(answer);
    const result = engine.submit(
      {
        tokens: Int32Array.from([seed, seed + 1, seed + 2]),
        maxTokens: 600,
        sampling: {
          ...greedySampling,
          temperature: seed % 2,
          topP: 0.95,
          seed,
          stopTokenIds: [stopTokenId],
        },
        constraint: isConstrained ? newConstraint() : null,
        ignoreStopTokens: false,
        speculation: guessing ? { draftTokensMax: 4, prediction: null } : null,
        priority: 'turn',
        cacheSalt: '',
        deadlineMs: null,
      },
      {
        onTokens: (tokens) => void answer.tokens.push(...tokens),
        onEnd: ({ reason, usage }) => {
          answer.reason = reason;
          answer.acceptedCount = usage.acceptedDraftTokens;
        },
      },
    );
    expect(result.ok).toBe(true);
  }
  clock.run();
  return answers;
}

test('constrained sequences end with documents that match, beside free ones', async () => {
  const answers = await answersOf(false);
  const constrained = answers.filter(({ isConstrained }) => isConstrained);
  expect(constrained.map(({ reason }) => reason)).toEqual(constrained.map(() => 'stop'));
  for (const { tokens } of constrained) {
    const value = JSON.parse(tokenizer.decode(tokens.slice(0, -1))) as Record<string, unknown>[];
    expect(value.length).toBeLessThanOrEqual(4);
    for (const item of value) {
      expect(Object.keys(item)).toEqual(['kind', 'count', 'name', 'flag']);
      expect(item['name']).toMatch(/^[a-z]{1,8}$/);
    }
  }
});

test('guesses change nothing of what constrained sequences say, and some of them are right', async () => {
  const [plain, guessing] = [await answersOf(false), await answersOf(true)];
  expect(guessing.map(({ tokens }) => tokens)).toEqual(plain.map(({ tokens }) => tokens));
  const right = guessing.filter(({ isConstrained, acceptedCount }) => isConstrained && acceptedCount > 0);
  expect(right.length).toBeGreaterThan(0);
});
