// The bytes of the native protocol, one example of every message: as a golden file to be read in review, and as the
// examples of docs/protocol/native.md, which must be these very ones.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type ClientMessage, clientSchemas, type ServerMessage } from '../../server/client/messages.ts';
import {
  decodeClientFrame,
  decodeServerFrame,
  encodeClientMessage,
  encodeServerMessage,
} from '../../server/client/protocol.ts';

const fromClient: readonly ClientMessage[] = [
  { type: 'hello', version: { min: 1, max: 1 }, client: 'sparklane-cli/0.1.0' },
  { type: 'session.open', session: 1, request: 1, sampling: { temperature: 0 } },
  { type: 'session.append', session: 1, request: 2, text: 'function fibonacci(n: number)' },
  { type: 'session.append', session: 1, request: 3, text: 'const a = ', suffix: ';\n' },
  { type: 'session.append', session: 1, request: 4, tokens: [1845, 77, 12] },
  { type: 'session.append', session: 1, request: 5, messages: [{ role: 'user', content: 'Why?' }] },
  { type: 'generate', session: 1, generation: 1, maxTokens: 128, stop: ['\n\n'] },
  { type: 'cancel', session: 1, generation: 1, keep: true },
  { type: 'session.close', session: 1, request: 6 },
  { type: 'ping', nonce: 7 },
  { type: 'session.resume', session: 2, request: 7, id: 'sess_Zk3rXw0T9qLb5nYc', generation: 1, index: 40 },
  { type: 'session.edit', session: 2, request: 8, start: 3, count: 5, text: 'const b' },
  { type: 'session.fork', session: 3, request: 9, of: 2, count: 8 },
  { type: 'steer', session: 2, generation: 2, running: 1, text: '// in Rust\n', maxTokens: 64 },
  { type: 'sessions.list', request: 10 },
  { type: 'sessions.show', request: 11, id: 'sess_Zk3rXw0T9qLb5nYc', tokenCount: 16 },
  { type: 'sessions.drop', request: 12, id: 'sess_Zk3rXw0T9qLb5nYc' },
];

const summary = {
  id: 'sess_Zk3rXw0T9qLb5nYc',
  position: 52,
  attached: false,
  generation: 1,
  running: true,
  ageUs: 90_000_000,
  idleUs: 1_500_000,
} as const;

const fromServer: readonly ServerMessage[] = [
  {
    type: 'hello',
    version: 1,
    timeUs: 1_500_000,
    server: 'sparklane/0.1.0',
    model: 'spark-nano',
    device: 'cpu',
    limits: {
      contextTokensMax: 4096,
      frameSizeMax: 4_194_304,
      sessionCountMax: 64,
      sessionIdleSeconds: 1800,
      replayTokensMax: 4096,
      logprobsMax: 20,
    },
    features: { chat: true, fillInTheMiddle: true },
  },
  { type: 'session.opened', session: 1, request: 1, id: 'sess_Zk3rXw0T9qLb5nYc' },
  { type: 'session.appended', session: 1, request: 2, tokenCount: 8, position: 8 },
  {
    type: 'session.prefilled',
    session: 1,
    outcome: 'done',
    position: 1024,
    cachedTokens: 960,
    computedTokens: 64,
    queueUs: 120,
  },
  {
    type: 'tokens',
    session: 1,
    generation: 1,
    index: 0,
    timeUs: 1_612_345,
    tokens: [314],
    text: ': number',
    logprobs: null,
  },
  {
    type: 'tokens',
    session: 1,
    generation: 1,
    index: 1,
    timeUs: 1_613_002,
    tokens: [25, 220],
    text: ' {',
    logprobs: [
      [-0.25, [25, 11], [-0.25, -1.5]],
      [-0.5, [220, 9], [-0.5, -2]],
    ],
  },
  {
    type: 'tokens',
    session: 1,
    generation: 2,
    index: 4,
    timeUs: 1_700_002,
    tokens: [220, 9],
    text: 'Yes',
    logprobs: null,
    reasoning: 'so it is.',
  },
  {
    type: 'generation.end',
    session: 1,
    generation: 1,
    reason: 'stop',
    text: '',
    stopString: '\n\n',
    position: 52,
    usage: {
      promptTokens: 8,
      cachedTokens: 0,
      outputTokens: 44,
      acceptedDraftTokens: 12,
      rejectedDraftTokens: 5,
    },
    timings: { queueUs: 40, ttftUs: 2345, tpotUs: 701, totalUs: 32_488 },
    error: null,
  },
  { type: 'session.closed', session: 1, reason: 'expired' },
  {
    type: 'error',
    code: 'session_busy',
    message: 'generation 1 is running; one answer at a time',
    retryable: true,
    session: 1,
    generation: 2,
  },
  { type: 'pong', timeUs: 1_700_000, nonce: 7 },
  {
    type: 'session.resumed',
    session: 2,
    request: 7,
    id: 'sess_Zk3rXw0T9qLb5nYc',
    position: 52,
    generation: 1,
    nextIndex: 44,
    running: true,
  },
  { type: 'session.taken', session: 1 },
  { type: 'session.edited', session: 2, request: 8, start: 4, tokenCount: 45, position: 49 },
  { type: 'session.forked', session: 3, request: 9, id: 'sess_p0cV7mQe2sHd1xRa', position: 8 },
  { type: 'sessions.listed', request: 10, sessions: [summary] },
  { type: 'sessions.shown', request: 11, summary, text: ' return n < 2' },
  { type: 'sessions.dropped', request: 12, id: 'sess_Zk3rXw0T9qLb5nYc' },
];

const examples = [
  ...fromClient.map((message) => ({
    title: `C ${message.type}`,
    message,
    frame: encodeClientMessage(message),
  })),
  ...fromServer.map((message) => ({
    title: `S ${message.type}`,
    message,
    frame: encodeServerMessage(message),
  })),
].map(({ title, message, frame }) => ({ text: `${title}\n${json(message)}\n${hex(frame)}`, frame, message }));

/** Token frames are arrays by position: their JSON is what is on the wire. */
function json(message: ClientMessage | ServerMessage): string {
  if (message.type !== 'tokens') return JSON.stringify(message);
  const { session, generation, index, timeUs, tokens, text, logprobs, reasoning } = message;
  const head = [1, session, generation, index, timeUs, tokens, text];
  if (reasoning !== undefined) return JSON.stringify([...head, logprobs, reasoning]);
  return JSON.stringify(logprobs === null ? head : [...head, logprobs]);
}

/** 32 bytes a line. */
function hex(frame: Uint8Array): string {
  const pairs = Array.from(frame, (byte) => byte.toString(16).padStart(2, '0'));
  const lines: string[] = [];
  for (let at = 0; at < pairs.length; at += 32) lines.push(pairs.slice(at, at + 32).join(' '));
  return lines.join('\n');
}

test('every message has an example', () => {
  expect(new Set(fromClient.map(({ type }) => type))).toEqual(new Set(Object.keys(clientSchemas)));
  expect(new Set(fromServer.map(({ type }) => type)).size).toBe(16);
});

test('the bytes of every message are the golden ones', async () => {
  const text = `${examples.map((example) => example.text).join('\n\n')}\n`;
  await expect(text).toMatchFileSnapshot('native-frames.txt');
});

test('every example is decoded to what it says', () => {
  for (const [index, { frame, message }] of examples.entries()) {
    if (index < fromClient.length) expect(decodeClientFrame(frame)).toEqual({ ok: true, message });
    else expect(decodeServerFrame(frame)).toEqual(message);
  }
});

test('docs/protocol/native.md shows these very frames', () => {
  const document = readFileSync(join(import.meta.dirname, '../../docs/protocol/native.md'), 'utf8');
  const missing = examples.filter(({ text }) => !document.includes(`\n\`\`\`text\n${text}\n\`\`\`\n`));
  expect(missing.map(({ text }) => text)).toEqual([]);
});
