// One scheduler trace as text, to be read in review: what each step of a small, busy device contains.
import { expect, test } from 'vitest';
import { greedySampling, type StepPlan } from '../../kernels/backend.ts';
import { VirtualClock } from '../../kernels/clock.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { linearCostModel } from '../../kernels/sim/cost-model.ts';
import { Engine } from '../../server/engine/engine.ts';
import type { Priority, SequenceRequest } from '../../server/engine/request.ts';
import { quietObserver } from '../sim/observer.ts';

test('a busy device: decode rows first, one chunk of prefill, a turn before background, blocks found again', async () => {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const engine = new Engine(tracedBackend(clock, lines), clock, bounds, quietObserver());
  const submit = (name: string, asked: SequenceRequest) =>
    engine.submit(asked, {
      onTokens: (tokens) => lines.push(`${stamp(clock)}   ${name} ← ${tokens.join(' ')}`),
      onEnd: ({ reason, usage }) =>
        lines.push(`${stamp(clock)}   ${name} ${reason}, ${usage.cachedTokens} cached`),
    });
  submit('warm', request(prompt(28), 0, 'background'));
  clock.schedule(3, () => submit('first', request(prompt(14), 4, 'turn')));
  clock.schedule(9, () => submit('second', request([...prompt(24), 30, 31], 3, 'turn')));
  clock.run();
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('scheduler-trace.txt');
});

const bounds = {
  prefillChunkTokens: 8,
  prefillTokensPerStep: 8,
  overtakeMsPerToken: 1,
  classDelayMs: { turn: 0, side: 100, background: 1000 },
  queueLengthMax: 8,
  retryAfterMs: 500,
};

function prompt(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function request(tokens: number[], maxTokens: number, priority: Priority): SequenceRequest {
  const sampling = { ...greedySampling, seed: 1 };
  return {
    tokens: Int32Array.from(tokens),
    maxTokens,
    sampling,
    constraint: null,
    ignoreStopTokens: false,
    speculation: null,
    priority,
    cacheSalt: '',
    deadlineMs: null,
  };
}

function tracedBackend(clock: VirtualClock, lines: string[]): SimBackend {
  const limits = {
    replicaCount: 1,
    slotCount: 2,
    slotTokensMax: 64,
    blockSize: 4,
    blockCount: 16,
    rowTokensMax: 8,
    stepTokensMax: 32,
    sampleCountMax: 1,
    logprobsMax: 0,
    vocabSize: 32,
  };
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0, tokenMs: 0.1, blockMs: 0 });
  const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
  const step = backend.step.bind(backend);
  backend.step = (plan, done) => {
    lines.push(`${stamp(clock)} ${describe(plan)}`);
    step(plan, done);
  };
  return backend;
}

function describe(plan: StepPlan): string {
  const restores = plan.restores.map(
    ({ slot, position, blocks }) => `slot ${slot} @${position} ⇐ ${blocks.join(' ')}`,
  );
  const rows = plan.rows.map(({ sequenceId, slot, position, tokens, sampleCount }) => {
    const span = tokens.length === 1 ? `${position}` : `${position}–${position + tokens.length - 1}`;
    return `#${sequenceId} slot ${slot} [${span}]${sampleCount > 0 ? ' draws' : ''}`;
  });
  const saves = plan.saves.map(({ slot, position, block }) => `slot ${slot} @${position} ⇒ ${block}`);
  return [...restores, ...rows, ...saves].join(' | ');
}

function stamp(clock: VirtualClock): string {
  return clock.nowMs().toFixed(1).padStart(5);
}
