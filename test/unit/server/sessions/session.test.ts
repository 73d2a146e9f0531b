import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import type { Fault } from '../../../../server/base/errors.ts';
import type { SequenceRequest } from '../../../../server/engine/request.ts';
import type { SessionReader } from '../../../../server/sessions/answer-line.ts';
import type { OutboxBatch } from '../../../../server/sessions/outbox.ts';
import type { PrefillReport } from '../../../../server/sessions/prefill-ahead.ts';
import { Session, type SessionBounds } from '../../../../server/sessions/session.ts';
import type { AnswerEnd } from '../../../../server/sessions/session-answer.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { greedyQuestion } from '../../../greedy-request.ts';
import { NativeServer } from '../../../native-world.ts';
import { type Script, ScriptedEngine, type ScriptedEngineOptions } from '../../../scripted-engine.ts';

class RecordingReader implements SessionReader {
  ready = true;
  readonly batches: OutboxBatch[] = [];
  readonly ends: AnswerEnd[] = [];
  readonly prefills: PrefillReport[] = [];
  readonly notes: string[] = [];
  isReady(): boolean {
    return this.ready;
  }
  onTokens(_generation: number, batch: OutboxBatch): void {
    this.batches.push(batch);
  }
  onEnd(end: AnswerEnd): void {
    this.ends.push(end);
  }
  onPrefilled(report: PrefillReport): void {
    this.prefills.push(report);
  }
  onSteered(generation: number, { position }: { readonly position: number }): void {
    this.notes.push(`${generation} steered at ${position}`);
  }
  onRefused(generation: number, { code }: Fault): void {
    this.notes.push(`${generation} ${code}`);
  }
  get text(): string {
    return this.batches.map(({ text }) => text).join('');
  }
}

interface Setup {
  readonly clock: VirtualClock;
  readonly engine: ScriptedEngine;
  readonly requests: SequenceRequest[];
  readonly reader: RecordingReader;
  readonly session: Session;
}

function setup(
  options: Partial<ScriptedEngineOptions> & { say?: (request: SequenceRequest) => Script } = {},
  bounds: Partial<SessionBounds> = {},
): Setup {
  const clock = new VirtualClock();
  const requests: SequenceRequest[] = [];
  const say = options.say ?? (() => says('answer'));
  const engine = new ScriptedEngine({
    clock,
    ...options,
    script: (request) => {
      requests.push({ ...request, tokens: request.tokens.slice() });
      return say(request);
    },
  });
  const server = new NativeServer({ clock, engine, session: bounds });
  const reader = new RecordingReader();
  return {
    clock,
    engine,
    requests,
    reader,
    session: new Session('s1', 'owner', server.sessionWorld, reader),
  };
}

function says(text: string, ...more: number[]): Script {
  return { tokens: [...encodeBytes(text), ...more] };
}

const asText = (text: string) => ({ text, suffix: null, tokens: null, messages: null }) as const;
const asIds = (tokens: number[]) => ({ text: null, suffix: null, tokens, messages: null }) as const;
const asChat = (...messages: { role: string; content: string }[]) =>
  ({ text: null, suffix: null, tokens: null, messages }) as const;

const textOf = (request: SequenceRequest) =>
  Buffer.from([...request.tokens].map((t) => (t === BYTE_EOS ? 36 : t))).toString();

test('what is appended is computed at once, in whole blocks, behind everything else', () => {
  const { clock, session, requests, reader } = setup();
  expect(session.append(asText('x'.repeat(40)))).toEqual({ ok: true, start: 0 });
  expect(requests).toEqual([]); // several appends and the question may come together
  clock.run(1000);
  expect(requests).toMatchObject([{ maxTokens: 0, priority: 'background', cacheSalt: 'owner' }]);
  expect(requests[0]!.tokens.length).toBe(32);
  expect(reader.prefills).toMatchObject([{ outcome: 'done', position: 32, computedTokens: 32 }]);
  session.append(asText('y'.repeat(7)));
  clock.run(2000);
  expect(requests.length).toBe(1); // no block became full
  expect(reader.prefills[1]).toMatchObject({ outcome: 'done', position: 32, computedTokens: 0 });
});

test('text that arrives during a prefill is computed after it', () => {
  const { clock, session, requests, reader } = setup({ stepMs: 5 });
  session.append(asText('x'.repeat(32)));
  clock.run(2);
  session.append(asText('y'.repeat(32)));
  clock.run(1000);
  expect(requests.map(({ tokens }) => tokens.length)).toEqual([32, 64]);
  expect(reader.prefills.map(({ position }) => position)).toEqual([32, 64]);
});

test('a question takes over from the prefill of its own prompt', () => {
  const { clock, session, requests, reader, engine } = setup({ stepMs: 5 });
  session.append(asText('x'.repeat(64)));
  clock.run(2);
  expect(session.generate(greedyQuestion(0))).toBeNull();
  clock.run(1000);
  expect(requests.map(({ maxTokens }) => maxTokens > 0)).toEqual([false, true]);
  expect(reader.prefills).toMatchObject([{ outcome: 'superseded', position: 64 }]);
  expect(reader.ends).toMatchObject([{ reason: 'stop' }]);
  expect(engine.activeCount).toBe(0);
});

test('a question that arrives with its prompt costs no prefill of its own', () => {
  const { clock, session, requests } = setup();
  session.append(asText('x'.repeat(64)));
  session.generate(greedyQuestion(0));
  clock.run(1000);
  expect(requests.length).toBe(1);
});

test('tokens within a frame interval are told together; the first one and the end do not wait', () => {
  const ask = (frameIntervalMs: number) => {
    const { clock, session, reader } = setup({ stepMs: 1, say: () => says('x'.repeat(30)) });
    session.append(asText('y'));
    session.generate(greedyQuestion(0, { frameIntervalMs }));
    clock.run(1000);
    return { counts: reader.batches.map(({ tokens }) => tokens.length), end: reader.ends[0]! };
  };
  const each = ask(0);
  const gathered = ask(10);
  expect(each.counts).toEqual(new Array(30).fill(1));
  expect(gathered.counts).toEqual([1, 9, 10, 10]);
  expect(gathered.end).toEqual(each.end); // its times too
});

test('a frame that waits for its interval is not told to a reader who has left, but to the next one', () => {
  const { clock, session, reader } = setup({ stepMs: 1, say: () => says('x'.repeat(30)) });
  session.append(asText('y'));
  session.generate(greedyQuestion(0, { frameIntervalMs: 10 }));
  clock.run(clock.nowMs() + 8);
  session.detach();
  clock.run(1000);
  const told = reader.batches.length;
  const next = new RecordingReader();
  session.attach(next, { generation: 0, index: reader.text.length });
  session.flush();
  clock.run(2000);
  expect(reader.batches.length).toBe(told);
  expect(reader.text + next.text).toBe('x'.repeat(30));
});

test('the answer belongs to the transcript, and a stop token ends it without becoming part of raw text', () => {
  const { clock, session, requests, reader } = setup({ say: () => says('one', BYTE_EOS) });
  session.append(asText('say '));
  session.generate(greedyQuestion(0));
  clock.run(1000);
  expect(reader.text).toBe('one');
  expect(reader.batches.flatMap(({ tokens }) => tokens)).toEqual([...encodeBytes('one'), BYTE_EOS]);
  expect(reader.ends).toMatchObject([{ reason: 'stop', outputTokens: 4, position: 7 }]);
  session.append(asText(' two'));
  session.generate(greedyQuestion(1));
  clock.run(2000);
  expect(textOf(requests.at(-1)!)).toBe('say one two');
});

test('a chat is laid out by the template, answers included', () => {
  const { clock, session, requests } = setup({ say: () => says('hi', BYTE_EOS) });
  session.append(asChat({ role: 'system', content: 'be brief' }, { role: 'user', content: 'hello' }));
  session.generate(greedyQuestion(0));
  clock.run(1000);
  expect(textOf(requests.at(-1)!)).toBe('system: be brief$\nuser: hello$\nassistant: ');
  session.append(asChat({ role: 'user', content: 'again' }));
  session.generate(greedyQuestion(1));
  clock.run(2000);
  const asked = textOf(requests.at(-1)!);
  expect(asked).toBe('system: be brief$\nuser: hello$\nassistant: hi$\nuser: again$\nassistant: ');
});

test('a chat answer cut short is closed by the template before the next message', () => {
  const { clock, session, requests } = setup({ say: () => says('a long story') });
  session.append(asChat({ role: 'user', content: 'tell' }));
  session.generate(greedyQuestion(0, { maxTokens: 6 }));
  clock.run(1000);
  session.append(asChat({ role: 'user', content: 'more' }));
  session.generate(greedyQuestion(1));
  clock.run(2000);
  expect(textOf(requests.at(-1)!)).toBe('user: tell$\nassistant: a long$\nuser: more$\nassistant: ');
});

test('an answer that is dropped leaves the session as it was asked', () => {
  const { clock, session, reader } = setup({ say: () => says('wrong direction entirely') });
  session.append(asChat({ role: 'user', content: 'go' }));
  const before = session.tokenCount;
  session.generate(greedyQuestion(0));
  clock.run(4);
  expect(session.cancel(0, false)).toBe(true);
  const told = reader.text;
  clock.run(1000);
  expect(told.length).toBeGreaterThan(0);
  expect(reader.text).toBe(told);
  expect(reader.ends).toMatchObject([{ reason: 'cancelled', position: before }]);
  expect(session.tokenCount).toBe(before);
});

test('a cancelled answer is kept as far as it was told', () => {
  const { clock, session, requests, reader } = setup({ say: () => says('abcdefghijk') });
  session.append(asText('> '));
  session.generate(greedyQuestion(0));
  clock.run(4);
  session.cancel(0, true);
  clock.run(1000);
  session.generate(greedyQuestion(1));
  clock.run(2000);
  expect(textOf(requests.at(-1)!)).toBe(`> ${reader.text.slice(0, reader.ends[0]!.outputTokens)}`);
});

test('one answer at a time, and its numbers only go up', () => {
  const { clock, session, reader } = setup();
  session.append(asText('x'));
  expect(session.generate(greedyQuestion(5))).toBeNull();
  expect(session.generate(greedyQuestion(6))).toMatchObject({ code: 'session_busy' });
  expect(session.append(asText('y'))).toMatchObject({ ok: false, fault: { code: 'session_busy' } });
  clock.run(1000);
  expect(session.generate(greedyQuestion(5))).toMatchObject({ code: 'invalid_request', param: 'generation' });
  expect(session.generate(greedyQuestion(6))).toBeNull();
  clock.run(2000);
  expect(reader.ends.map(({ generation }) => generation)).toEqual([5, 6]);
});

test('an empty session has nothing to answer, a full one no room to', () => {
  const { clock, session } = setup({}, { tokensMax: 32 });
  expect(session.generate(greedyQuestion(0))).toMatchObject({ code: 'invalid_request' });
  expect(session.append(asText('x'.repeat(33)))).toMatchObject({
    ok: false,
    fault: { code: 'context_length_exceeded', message: expect.stringMatching(/33.*32/) },
  });
  expect(session.tokenCount).toBe(0);
  session.append(asText('x'.repeat(32)));
  expect(session.generate(greedyQuestion(0))).toMatchObject({ code: 'context_length_exceeded' });
  clock.run(1000);
  expect(session.busy).toBe(false);
});

test('an answer never makes a session longer than its bound', () => {
  const { clock, session, reader } = setup({ say: () => says('y'.repeat(100)) }, { tokensMax: 40 });
  session.append(asText('x'.repeat(30)));
  session.generate(greedyQuestion(0, { maxTokens: 99 }));
  clock.run(1000);
  expect(reader.ends).toMatchObject([{ reason: 'length', outputTokens: 10, position: 40 }]);
});

test('the engine saying no leaves the session ready to be asked again', () => {
  const { clock, session, reader } = setup({ slotCount: 0, queueLengthMax: 0 });
  session.append(asChat({ role: 'user', content: 'hello, here are sixteen tokens' }));
  const before = session.tokenCount;
  expect(session.generate(greedyQuestion(0))).toMatchObject({ code: 'queue_full', retryAfterMs: 1500 });
  expect(session.tokenCount).toBe(before);
  clock.run(1000);
  expect(reader.prefills).toMatchObject([{ outcome: 'refused' }]);
  expect(session.generating).toBe(false);
});

test('a device that fails ends the answer with its fault and keeps what was told', () => {
  const failure = { code: 'worker-died', message: 'gone' } as const;
  const { clock, session, reader } = setup({ say: () => ({ tokens: [...encodeBytes('half')], failure }) });
  session.append(asText('x'));
  session.generate(greedyQuestion(0));
  clock.run(1000);
  expect(reader.ends).toMatchObject([{ reason: 'failed', fault: { code: 'worker_died' }, position: 5 }]);
});

test('a reader that is not ready gets the tokens together, in order, and then the end', () => {
  const { clock, session, reader } = setup({ say: () => says('0123456789') });
  session.append(asText('x'));
  session.generate(greedyQuestion(0));
  clock.run(3);
  const early = reader.batches.length;
  reader.ready = false;
  clock.run(1000);
  expect(reader.batches.length).toBe(early);
  expect(reader.ends).toEqual([]);
  expect(session.generating).toBe(true);
  reader.ready = true;
  session.flush();
  expect(reader.batches.length).toBe(early + 1);
  expect(reader.text).toBe('0123456789');
  expect(reader.ends.length).toBe(1);
  const indices = reader.batches.map(({ index, tokens }) => [index, tokens.length]);
  for (let i = 1; i < indices.length; i++)
    expect(indices[i]![0]).toBe(indices[i - 1]![0]! + indices[i - 1]![1]!);
});

test('a reader that stays behind pauses its own generation, within the bound, and nobody else', () => {
  const { clock, session, reader, engine } = setup(
    { say: () => says('z'.repeat(500)) },
    { unsentTokensMax: 20 },
  );
  session.append(asText('x'));
  session.generate(greedyQuestion(0, { maxTokens: 400 }));
  reader.ready = false;
  clock.run(10_000);
  expect(engine.activeCount).toBe(1);
  const other = new RecordingReader();
  const neighbour = new Session('s2', 'owner', new NativeServer({ clock, engine }).sessionWorld, other);
  neighbour.append(asText('x'));
  neighbour.generate(greedyQuestion(0, { maxTokens: 300 }));
  clock.run(20_000);
  expect(other.ends).toMatchObject([{ outputTokens: 300 }]);
  reader.ready = true;
  session.flush();
  expect(reader.batches[0]!.tokens.length).toBeLessThanOrEqual(21);
  clock.run(30_000);
  expect(reader.ends).toMatchObject([{ reason: 'length', outputTokens: 400 }]);
});

test('a closed session says nothing more and leaves nothing running', () => {
  const { clock, session, reader, engine } = setup({ say: () => says('z'.repeat(100)) });
  session.append(asText('x'.repeat(32)));
  session.generate(greedyQuestion(0));
  clock.run(5);
  const told = reader.batches.length;
  session.close();
  session.close();
  clock.run(1000);
  expect(engine.activeCount).toBe(0);
  expect(reader.batches.length).toBe(told);
  expect(reader.ends).toEqual([]);
  expect(session.append(asText('y'))).toMatchObject({ ok: false, fault: { code: 'unknown_session' } });
  expect(session.generate(greedyQuestion(1))).toMatchObject({ code: 'unknown_session' });
});

test('text held for a stop string that never comes arrives with the end', () => {
  const { clock, session, reader } = setup({ say: () => says('code //') });
  session.append(asText('x'));
  session.generate(greedyQuestion(0, { stopStrings: ['// end'] }));
  clock.run(1000);
  expect(reader.text + reader.ends[0]!.text).toBe('code //');
  expect(reader.ends[0]!.text).toBe('//');
});

test('a stop string ends the answer; its tokens stay, its text is not told', () => {
  const { clock, session, reader } = setup({ say: () => says('let a;\n\nlet b;') });
  session.append(asText('x'));
  session.generate(greedyQuestion(0, { stopStrings: ['\n\n'] }));
  clock.run(1000);
  expect(reader.text).toBe('let a;');
  expect(reader.ends).toMatchObject([{ reason: 'stop', stopString: '\n\n', outputTokens: 8, position: 9 }]);
});

test('the numbers of an answer follow their formulas', () => {
  const { clock, session, reader } = setup({ stepMs: 10, say: () => says('abcde') });
  session.append(asText('x'));
  session.generate(greedyQuestion(0));
  clock.run(1000);
  expect(reader.ends).toMatchObject([
    { ttftMs: 10, tpotMs: 10, totalMs: 50, promptTokens: 1, outputTokens: 5 },
  ]);
});

test('token ids must be in the vocabulary', () => {
  const { session } = setup();
  expect(session.append(asIds([1, 2, 260]))).toMatchObject({ ok: false, fault: { param: 'tokens[2]' } });
  expect(session.append(asIds([1, 2, 259]))).toEqual({ ok: true, start: 0 });
});
