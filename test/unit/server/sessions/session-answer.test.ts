import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { Session } from '../../../../server/sessions/session.ts';
import type { AnswerEnd } from '../../../../server/sessions/session-answer.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { greedyQuestion } from '../../../greedy-request.ts';
import { NativeServer } from '../../../native-world.ts';
import { ScriptedEngine } from '../../../scripted-engine.ts';

test('an answer whose end cannot be told apart from its reasoning fails, and the session goes on', () => {
  const clock = new VirtualClock();
  const engine = new ScriptedEngine({
    clock,
    script: () => ({ tokens: [...encodeBytes('answer'), BYTE_EOS] }),
  });
  let count = 0;
  const end = () => {
    if (++count === 1) throw new Error('broken');
    return { reasoning: '', text: '' };
  };
  const newSplit = () => ({ answering: true, push: (text: string) => ({ reasoning: '', text }), end });
  const ends: AnswerEnd[] = [];
  const reader = {
    ...{ isReady: () => true, onTokens: () => {}, onPrefilled: () => {}, onSteered: () => {} },
    ...{ onRefused: () => {}, onEnd: (one: AnswerEnd) => void ends.push(one) },
  };
  const { sessionWorld } = new NativeServer({ clock, engine, newSplit });
  const session = new Session('s1', 'owner', sessionWorld, reader);
  session.append({ text: 'a', suffix: null, tokens: null, messages: null });
  session.generate({ ...greedyQuestion(0), reasoning: true });
  expect(() => clock.run(1000)).toThrow('broken'); // into the engine, which tells the log
  session.generate({ ...greedyQuestion(1), reasoning: true });
  clock.run(2000);
  expect(ends).toMatchObject([
    { reason: 'failed', fault: { code: 'internal_error' }, position: 7 },
    { reason: 'stop', fault: null, position: 13 },
  ]);
});
