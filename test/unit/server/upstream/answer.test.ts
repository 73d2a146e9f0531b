// An upstream's answer whose reader throws: it fails by itself, whatever the wire makes of what is thrown at it.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import type { GenerationEnd } from '../../../../server/generation/generation.ts';
import { UpstreamAnswer } from '../../../../server/upstream/answer.ts';

function opened(reader: { readonly onDelta?: () => void; readonly onEnd?: (end: GenerationEnd) => void }) {
  const clock = new VirtualClock();
  let aborted = false;
  const abort = () => {
    aborted = true;
  };
  const call = { abort, pause: () => {}, resume: () => {} };
  const answer = new UpstreamAnswer({ lane: 'strong', clock, idleTimeoutMs: 1000, call });
  const ends: GenerationEnd[] = [];
  const sink = {
    onDelta: () => reader.onDelta?.(),
    onEnd: (end: GenerationEnd) => {
      ends.push(end);
      reader.onEnd?.(end);
    },
  };
  answer.start({ choiceCount: 2, promptTokenCount: 3, deadlineMs: 9000 }, sink);
  const send = (choices: object) => answer.onData(Buffer.from(`data: ${JSON.stringify({ choices })}\n\n`));
  clock.run(0);
  return { clock, answer, ends, send, isAborted: () => aborted };
}

const broken = () => {
  throw new Error('broken');
};
const failed = { reason: 'failed', failure: { code: 'request-threw' } };

test('with a piece of it: all choices fail, the upstream is left, the error is the clock’s to tell', () => {
  const { clock, ends, send, isAborted } = opened({ onDelta: broken });
  send([{ index: 0, delta: { content: 'a' } }]);
  send([{ index: 0, delta: { content: 'b' } }]);
  expect(ends).toMatchObject([failed, failed]);
  expect(isAborted()).toBe(true);
  expect(() => clock.run(0)).toThrow('broken');
});

test('with its end: that choice is told again that it failed, the other one its own end', () => {
  const onEnd = ({ choice, failure }: GenerationEnd) => {
    if (choice === 0 && failure === null) broken();
  };
  const { clock, answer, ends, send } = opened({ onEnd });
  send([0, 1].map((index) => ({ index, delta: { content: 'a' }, finish_reason: 'stop' })));
  answer.onEnd();
  expect(ends).toMatchObject([
    { choice: 0, reason: 'stop', failure: null },
    { choice: 0, ...failed },
    { choice: 1, reason: 'stop', failure: null },
  ]);
  expect(() => clock.run(0)).toThrow('broken');
});
