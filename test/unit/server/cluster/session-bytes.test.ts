// What a store is told of a session: whatever happens to it, what the store has by then is the session; a turn costs what it adds.
import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import {
  changeSince,
  type SessionChange,
  sessionBytes,
  sessionOf,
  type ToldColumn,
} from '../../../../server/cluster/session-bytes.ts';
import type { SessionState } from '../../../../server/sessions/session-state.ts';

/** What a store makes of changes: bytes from a start on, and what lay behind stays. */
class Kept {
  head: Uint8Array = new Uint8Array();
  columns: Buffer[] = [];

  take({ head, columns }: SessionChange): void {
    this.head = head;
    this.columns = columns.map(({ start, bytes }, index) => {
      if (start === 0) return Buffer.from(bytes);
      const before = this.columns[index]!;
      return Buffer.concat([
        before.subarray(0, start),
        bytes,
        before.subarray(Math.min(before.length, start + bytes.length)),
      ]);
    });
  }
}

const sizeOf = ({ columns }: SessionChange) => columns.reduce((sum, { bytes }) => sum + bytes.length, 0);

function stateOf(transcript: Partial<SessionState['transcript']>): SessionState {
  const whole = { raw: true, tokens: new Int32Array(), chat: null, marks: [], ...transcript };
  return {
    sampling: { temperature: 0.5 },
    transcript: whole,
    question: null,
    answer: null,
    generation: 3,
  };
}

const ENDED: SessionState['answer'] = {
  kept: {
    ...{ firstIndex: 5, tokens: [1, 2 ** 31 - 1], texts: ['é', ''], reasonings: ['', '“'] },
    logprobs: [1, 2].map((id) => ({
      logprob: -0.25,
      topTokens: [id],
      topLogprobs: [Number.NEGATIVE_INFINITY],
    })),
    ...{ tail: 'x', reasoningTail: '' },
  },
  end: {
    ...{ generation: 3, reason: 'failed', text: 'x', reasoning: '', reasoningTokens: 1, stopString: null },
    fault: { code: 'cancelled', message: 'é', param: null, retryAfterMs: null },
    ...{ position: 9, missReason: null, promptTokens: 2, cachedTokens: 0, outputTokens: 7 },
    ...{
      acceptedDraftTokens: 0,
      rejectedDraftTokens: 0,
      queueMs: 0,
      ttftMs: 0.125,
      tpotMs: null,
      totalMs: 1e6,
    },
  },
};

test('a session comes back as it was: raw, and a chat', () => {
  const raw = stateOf({ tokens: Int32Array.from([1, -2, 2 ** 31 - 1]) });
  const messages = [
    { role: 'user', content: 'é\n“two lines”' },
    { role: 'assistant', content: null, tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{}' } }] },
  ];
  const marks = [
    { text: 4, tokens: 2 },
    { text: 9, tokens: 5 },
  ];
  const chat = stateOf({ raw: false, chat: { messages, text: 'é\n' }, marks });
  for (const state of [raw, chat, stateOf({ chat: { messages: [], text: '' } })]) {
    expect(sessionOf(sessionBytes(state))).toEqual(state);
    expect(sessionOf(sessionBytes({ ...state, answer: ENDED }))).toEqual({ ...state, answer: ENDED });
  }
});

test('what was cut, altered or is of another version is no session', () => {
  const { head, columns } = sessionBytes(stateOf({ tokens: Int32Array.from([1, 2]) }));
  expect(sessionOf({ head: head.subarray(0, 9), columns })).toBeNull();
  expect(sessionOf({ head: new Uint8Array([1]), columns })).toBeNull();
  expect(sessionOf({ head, columns: [columns[0]!.subarray(0, 4), ...columns.slice(1)] })).toBeNull();
  const ended = sessionBytes({ ...stateOf({}), answer: ENDED });
  const torn = ended.columns.map((column, at) => (at === 4 ? Buffer.alloc(column.length, 0xc1) : column));
  expect(sessionOf({ head: ended.head, columns: torn })).toBeNull();
});

test('a turn is told as what it has added; an edit as a whole, and it may be shorter', () => {
  const random = new Random(5);
  const kept = new Kept();
  let told: readonly ToldColumn[] | null = null;
  const sizes: number[] = [];
  const tell = (transcript: Partial<SessionState['transcript']>) => {
    const state = stateOf(transcript);
    const next = changeSince(told, sessionBytes(state));
    told = next.told;
    kept.take(next.change);
    sizes.push(sizeOf(next.change));
    expect(sessionOf(kept)).toEqual(state);
  };
  let tokens = Int32Array.from({ length: 2000 }, () => Math.floor(random.next() * 49_000));
  let messages: { role: string; content: string }[] = [{ role: 'user', content: 'x'.repeat(5000) }];
  const transcript = () => ({
    tokens,
    chat: { messages, text: messages.map(({ content }) => content).join('\n') },
    marks: messages.map((_, at) => ({ text: at, tokens: at })),
  });
  tell(transcript());
  for (let turn = 0; turn < 20; turn++) {
    tokens = Int32Array.from([...tokens, turn, 1, 2, 3]);
    messages = [...messages, { role: 'user', content: `turn ${turn}` }];
    tell(transcript());
  }
  expect(sizes[0]).toBeGreaterThan(15_000);
  expect(Math.max(...sizes.slice(1))).toBeLessThan(200);
  tokens = tokens.slice(0, 10);
  messages = messages.slice(0, 1);
  tell(transcript());
  tokens = Int32Array.from([...tokens, 4]);
  tell(transcript());
  expect(sizes.at(-1)).toBe(4);
});
