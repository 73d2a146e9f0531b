import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { Random } from '../../../../kernels/random.ts';
import type { SequenceRequest } from '../../../../server/engine/request.ts';
import { AnswerMemories, type MemoryBounds } from '../../../../server/generation/answer-memories.ts';
import { type GenerationRequest, TextGenerator } from '../../../../server/generation/generation.ts';
import { BYTE_EOS, ByteText, encodeBytes } from '../../../byte-text.ts';
import { greedyRequest } from '../../../greedy-request.ts';
import { ScriptedEngine } from '../../../scripted-engine.ts';

const bounds: MemoryBounds = { tokensMax: 256, keyCountMax: 2, idleTimeoutMs: 1000 };
const speculation = { draftTokensMax: 8, prediction: null };
const defaults: GenerationRequest = { ...greedyRequest, tokens: encodeBytes('prompt'), speculation };

function setup(given: Partial<MemoryBounds> = {}) {
  const clock = new VirtualClock();
  const submitted: SequenceRequest[] = [];
  const script = (request: SequenceRequest) => {
    submitted.push(request);
    return { tokens: [...encodeBytes('return value;'), BYTE_EOS] };
  };
  const memories = new AnswerMemories({ ...bounds, ...given }, clock);
  const generator = new TextGenerator({
    engine: new ScriptedEngine({ clock, script }),
    stopTokenIds: [BYTE_EOS],
    openText: () => new ByteText(),
    random: new Random(1),
    memories,
  });
  const sink = { onDelta: () => {}, onEnd: () => {} };
  const answer = (request: Partial<GenerationRequest> = {}) => {
    const running = generator.start({ ...defaults, ...request }, sink);
    clock.run();
    return running;
  };
  /** What is guessed after `text` in a request of this key. */
  const guess = (cacheSalt: string, text = 'return') => {
    generator.start({ ...defaults, cacheSalt }, sink);
    const { remembered } = submitted.at(-1)!.speculation!;
    const query = Int32Array.from(encodeBytes(text));
    return remembered?.find(query, query.length, 3)[0]?.tokens ?? null;
  };
  return { clock, generator, memories, submitted, sink, answer, guess };
}

const following = Int32Array.from(encodeBytes(' va'));

test('an answer is guessed from in later requests of its key, and of no other', () => {
  const { answer, guess } = setup();
  answer({ cacheSalt: 'mine' });
  expect(guess('mine')).toEqual(following);
  expect(guess('yours')).toBeNull();
  expect(guess('')).toBeNull();
});

test('a session takes its answers with it, others of the key stay', () => {
  const { answer, guess, generator, memories } = setup();
  answer({ cacheSalt: 'mine', session: 'one' });
  generator.forget('yours', 'one');
  expect(guess('mine')).toEqual(following);
  generator.forget('mine', 'one');
  expect(memories.tokenCount).toBe(0);
  expect(guess('mine')).toBeNull();
  answer({ cacheSalt: 'mine', session: 'two' });
  generator.forget('mine', 'one');
  expect(guess('mine')).toEqual(following);
});

test('what nobody guesses from is not kept, nor what was cancelled', () => {
  const { answer, clock, generator, memories, sink, submitted } = setup();
  answer({ speculation: null });
  expect(submitted[0]!.speculation).toBeNull();
  const running = generator.start(defaults, sink);
  if (running.ok) running.cancel();
  clock.run();
  expect(memories.tokenCount).toBe(0);
  const none = setup({ tokensMax: 0 });
  none.answer();
  none.answer();
  expect(none.submitted[1]!.speculation!.remembered).toBeNull();
});

test('answers are forgotten when they are old, and keys when others asked since', () => {
  const { answer, guess, clock, memories } = setup();
  answer({ cacheSalt: 'a' });
  clock.schedule(1500, () => {});
  clock.run();
  expect(guess('a')).toBeNull();
  for (const cacheSalt of ['a', 'b', 'c']) answer({ cacheSalt });
  expect(guess('c')).toEqual(following);
  expect(guess('a')).toBeNull();
  expect(memories.tokenCount).toBeLessThanOrEqual(2 * 256);
});
