// What a run of the law does to its server before the crowd comes.
//
// The old fault, put back on purpose: masks stay where they were written, and a later step's rounds read them. At the
// seam, so that it needs no second kernel: a step of several rounds is cut to one, and its rows get the masks that lie at
// their places among the samples.
import assert from 'node:assert/strict';
import type { StepPlan } from '../../kernels/backend.ts';
import type { LocalServer } from '../../server/cli/local-server.ts';
import { keys } from './run.ts';

/** From now on guessing is worth it, whatever this machine has measured. */
export function makeGuessesCheap(server: LocalServer): void {
  const costs = server.device.backend.costs!;
  const { decodeMs, rowMs } = costs;
  // In place, where the engine looks. A row of any length costs what one of one token does.
  Object.assign(decodeMs, Object.fromEntries(decodeMs.map((_, index) => [index, 5 * (index + 1)])));
  Object.assign(rowMs, Object.fromEntries(rowMs.map((_, index) => [index, 5])));
  Object.assign(costs, { context: undefined });
}

/** From now on the server's device leaks masks, and there is one to be read: two rows at once have had one each. */
export async function leakMasks(server: LocalServer): Promise<void> {
  leakFrom(server);
  // Both choices of one request are in the same steps, whatever the times are.
  const schema = { enum: ['red', 'green', 'blue'] };
  const form = { type: 'json_schema', json_schema: { name: 'colour', schema } };
  const messages = [{ role: 'user', content: 'a colour' }];
  const answer = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${keys[0]}` },
    body: JSON.stringify({ messages, response_format: form, n: 2, temperature: 0, max_tokens: 16 }),
  });
  assert.equal(answer.status, 200);
}

function leakFrom(server: LocalServer): void {
  const { backend } = server.device;
  const step = backend.step.bind(backend);
  const left: (Uint32Array | null)[] = []; // by sample, as the last step with one there has left it
  const spoilt = (plan: StepPlan): StepPlan => {
    if ((plan.rounds ?? 1) > 1) {
      const rows = plan.rows.map((row, index) => ({
        ...row,
        masks: [left[plan.rows.length + index] ?? null],
      }));
      return { ...plan, rows, rounds: 1 };
    }
    let sample = 0;
    for (const row of plan.rows) {
      for (let i = 0; i < row.sampleCount; i++) left[sample++] = row.masks?.[i]?.slice() ?? null;
    }
    return plan;
  };
  assert(Object.hasOwn(backend, 'step') === false);
  Object.assign(backend, {
    step: (plan: StepPlan, done: Parameters<typeof step>[1], onRounds: Parameters<typeof step>[2]) =>
      step(spoilt(plan), done, onRounds),
  });
}
