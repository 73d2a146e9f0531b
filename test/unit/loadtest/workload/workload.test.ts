// Workloads: arrivals with the rates they promise, traces read or refused with line and reason, content that shares
// prefixes exactly where the trace says so.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { arrivals, type OpenLoad, parseLoad } from '../../../../loadtest/workload/arrival.ts';
import { bundledTrace, openWorkload, WORKLOADS } from '../../../../loadtest/workload/catalog.ts';
import { itemsText } from '../../../../loadtest/workload/filler.ts';
import { type RequestOptions, requestWorkload } from '../../../../loadtest/workload/request-workload.ts';
import {
  type AgentSessionOptions,
  agentSessions,
} from '../../../../loadtest/workload/trace-agent-sessions.ts';
import { type PlannedSession, saltedSession, type Workload } from '../../../../loadtest/workload/turn.ts';

const directory = mkdtempSync(join(tmpdir(), 'sparklane-traces-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, name.endsWith('.gz') ? gzipSync(text) : text);
  return path;
}

function take(workload: Workload, count: number): PlannedSession[] {
  const sessions = workload.sessions();
  return Array.from({ length: count }, () => sessions.next().value as PlannedSession);
}

const azureCode = (options: RequestOptions) => requestWorkload('azure-code', options);
const mooncake = (options: Omit<RequestOptions, 'promptsPath' | 'countTokens'>) =>
  requestWorkload('mooncake', { ...options, promptsPath: null, countTokens: () => 1 });

const tokensOf = (session: PlannedSession, turn: number) =>
  session.turns[turn]!.items.flatMap(({ parts }) => parts).reduce(
    (sum, part) => sum + (part.kind === 'filler' ? part.tokenCount : 0),
    0,
  );

const textOf = (session: PlannedSession, turn: number) =>
  itemsText(session.turns[turn]!.items, { wordsPerToken: 1 });

test.each([
  ['constant:20', 20, 0],
  ['poisson:20', 20, 1],
  ['gamma:20,cv=3', 20, 3],
] as const)('%s arrives at its rate with its burstiness', (text, rate, cv) => {
  const times = [...arrivals(parseLoad(text) as OpenLoad, 600_000, new Random(5))];
  expect(times.length / 600).toBeGreaterThan(rate * 0.88);
  expect(times.length / 600).toBeLessThan(rate * 1.12);
  const gaps = times.slice(1).map((at, index) => at - times[index]!);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  expect(Math.sqrt(variance) / mean).toBeGreaterThan(cv * 0.85 - 1e-9);
  expect(Math.sqrt(variance) / mean).toBeLessThan(cv * 1.15 + 1e-9);
});

test('a ramp’s rate grows linearly', () => {
  const times = [...arrivals(parseLoad('ramp:0..40') as OpenLoad, 100_000, new Random(2))];
  const firstHalf = times.filter((at) => at < 50_000).length;
  expect(times.length).toBeGreaterThan(1850); // 2,000 expected
  expect(times.length).toBeLessThan(2150);
  expect(firstHalf / times.length).toBeGreaterThan(0.21); // a quarter expected
  expect(firstHalf / times.length).toBeLessThan(0.29);
});

test.each([
  'closed:0',
  'closed:1.5',
  'poisson:',
  'poisson:-1',
  'gamma:2',
  'ramp:3',
  'steady:2',
  'trace:0',
  '',
])('the load %j is refused with what would have been taken', (text) => {
  expect(() => parseLoad(text)).toThrow(/--load .*expected/);
});

const agentOptions: Omit<AgentSessionOptions, 'path'> = {
  seed: 1,
  scale: 1,
  contextTokens: 100_000,
  gapScale: 2,
  gapMsMax: 60_000,
};
const request = (fields: object) => ({
  t: 0,
  type: 'n',
  in: 640,
  out: 50,
  input_types: ['text'],
  output_types: ['text'],
  stop: '',
  api_time: 1,
  think_time: 0,
  hash_runs: [1, 10],
  ...fields,
});
const session = (requests: object[]) =>
  JSON.stringify({ id: 's', block_size: 64, requests, models: [], hash_id_scope: 'local' });

test('an agent session sends what is new, keeps its gaps, and starts over where the trace does', () => {
  const path = file(
    'agent.jsonl.gz',
    `${session([
      request({}),
      request({ in: 832, think_time: 8, input_types: ['tool_result'], hash_runs: [1, 13] }),
      request({ in: 400, think_time: 200, hash_runs: [1, 4, 90, 3] }),
      { type: 'subagent', requests: [request({ in: 128, out: 7, hash_runs: [500, 2] })] },
    ])}\n`,
  );
  const workload = agentSessions({ ...agentOptions, path });
  const [first, subagent] = take(workload, 2) as [PlannedSession, PlannedSession];
  expect(subagent.turns.map(({ promptTokens, maxTokens }) => [promptTokens, maxTokens])).toEqual([[128, 7]]);
  expect(
    first.turns.map(({ reset, gap, gapMs, promptTokens, maxTokens, idealCachedTokens }) => [
      reset,
      gap,
      gapMs,
      promptTokens,
      maxTokens,
      idealCachedTokens,
    ]),
  ).toEqual([
    [false, 'none', 0, 640, 50, 0],
    [false, 'tool', 4000, 832, 50, 690], // history: prompt and answer
    [true, 'human', 60_000, 400, 50, 256], // four of its blocks were in the first prompt
  ]);
  expect(first.turns.map((_, at) => tokensOf(first, at))).toEqual([640, 142, 400]);
  expect(textOf(first, 2).slice(0, 800)).toBe(textOf(first, 0).slice(0, 800)); // 256 shared words and more than 3 characters each
  expect(workload.notes[0]).toMatch(/^1 sub-agent runs/);
});

test('one factor scales every length, and sessions end before what does not fit', () => {
  const path = file(
    'scaled.jsonl',
    `${session([request({}), request({ in: 6400, hash_runs: [1, 100] })])}\n`,
  );
  const workload = agentSessions({ ...agentOptions, path, scale: 10, contextTokens: 600 });
  const [only] = take(workload, 1) as [PlannedSession];
  expect(only.turns.map(({ promptTokens, maxTokens }) => [promptTokens, maxTokens])).toEqual([[64, 5]]);
  expect(() => agentSessions({ ...agentOptions, path, contextTokens: 100 })).toThrow(
    /--scale .*fits into 100 tokens/,
  );
});

test('passes over a trace have content of their own', () => {
  const path = file('once.jsonl', `${session([request({})])}\n`);
  const [first, second] = take(agentSessions({ ...agentOptions, path }), 2) as [
    PlannedSession,
    PlannedSession,
  ];
  expect(second.index).toBe(1);
  expect(textOf(second, 0)).not.toBe(textOf(first, 0));
  expect(tokensOf(second, 0)).toBe(tokensOf(first, 0));
});

test.each([
  ['not json', /line 2: not JSON/],
  ['[]', /line 2: expected a JSON object/],
  [session([request({ in: -1 })]), /line 2: requests\[0\]\.in: expected a number from 0 to .*, found -1/],
  [session([request({ hash_runs: [1] })]), /line 2: requests\[0\]\.hash_runs: expected pairs/],
  [
    session([request({ input_types: 'text' })]),
    /line 2: requests\[0\]\.input_types: expected a list of texts/,
  ],
  [JSON.stringify({ id: 's', block_size: 64 }), /line 2: requests: expected a list, found nothing/],
])('a broken agent trace is refused with line and reason: %s', (line, reason) => {
  const path = file('broken.jsonl', `${session([request({})])}\n${line}\n`);
  expect(() => agentSessions({ ...agentOptions, path })).toThrow(reason);
});

test('files that are missing, empty or no text are refused', () => {
  const open = (path: string) => () => agentSessions({ ...agentOptions, path });
  expect(open(join(directory, 'none'))).toThrow(/--trace .*expected a readable file/);
  expect(open(file('empty.jsonl', ''))).toThrow(/line 1: the file is empty/);
  writeFileSync(join(directory, 'binary'), Buffer.from([0xff, 0xfe, 0x00, 0x80]));
  expect(open(join(directory, 'binary'))).toThrow(/not UTF-8 text/);
});

test('Azure arrivals keep their bursts to the tenth of a microsecond', () => {
  const rows = [
    '2023-11-16 18:17:03.9799600,480,10',
    '2023-11-16 18:17:04.0319600,318,8',
    '2023-11-16 18:17:04.0319601,30,1',
  ];
  const path = file('azure.csv', `TIMESTAMP,ContextTokens,GeneratedTokens\n${rows.join('\n')}\n`);
  const options = { path, promptsPath: null, countTokens: () => 1, seed: 1, scale: 1, contextTokens: 1000 };
  const sessions = take(azureCode(options), 3);
  expect(sessions.map(({ arrivalMs }) => Math.round(arrivalMs * 1e4) / 1e4)).toEqual([0, 52, 52.0001]);
  expect(sessions.map((each) => [tokensOf(each, 0), each.turns[0]!.maxTokens])).toEqual([
    [480, 10],
    [318, 8],
    [30, 1],
  ]);
});

test.each([
  ['a,b\n', /line 1: expected the header/],
  ['TIMESTAMP,ContextTokens,GeneratedTokens\nnoon,1,1\n', /line 2: TIMESTAMP: not a time: noon/],
  [
    'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9,x,1\n',
    /line 2: ContextTokens: expected a whole number/,
  ],
  [
    'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9,1\n',
    /line 2: expected 3 fields, found 2/,
  ],
  [
    'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1,1\n2023-11-16 18:17:02,1,1\n',
    /line 3: TIMESTAMP: earlier/,
  ],
])('a broken Azure trace is refused with line and reason', (text, reason) => {
  const path = file('azure-broken.csv', text);
  const options = { path, promptsPath: null, countTokens: () => 1, seed: 1, scale: 1, contextTokens: 1000 };
  expect(() => azureCode(options)).toThrow(reason);
});

test('Mooncake requests share content exactly where their hashes are equal', () => {
  const row = (timestamp: number, hashes: number[]) =>
    JSON.stringify({
      timestamp,
      input_length: hashes.length * 512 - 100,
      output_length: 5,
      hash_ids: hashes,
    });
  const path = file('moon.jsonl', `${row(0, [0, 1, 2])}\n${row(10, [0, 1, 7])}\n${row(20, [9])}\n`);
  const [a, b, c] = take(mooncake({ path, seed: 1, scale: 1, contextTokens: 4096 }), 3) as [
    PlannedSession,
    PlannedSession,
    PlannedSession,
  ];
  expect([a, b, c].map((each) => each.turns[0]!.idealCachedTokens)).toEqual([0, 1024, 0]);
  const shared = itemsText([{ role: 'user', parts: a.turns[0]!.items[0]!.parts.slice(0, 2) }], {
    wordsPerToken: 1,
  });
  expect(textOf(b, 0).startsWith(shared)).toBe(true);
  expect(textOf(b, 0)).not.toBe(textOf(a, 0));
  expect(() =>
    mooncake({
      path: file('moon2.jsonl', `${row(5, [1])}\n${row(1, [1])}\n`),
      seed: 1,
      scale: 1,
      contextTokens: 4096,
    }),
  ).toThrow(/line 2: timestamp: earlier/);
});

test('salted content keeps its shape and shares no prefix', () => {
  const [plain] = take(
    mooncake({
      path: bundledTrace('mooncake-conversation-1500.jsonl.gz'),
      seed: 1,
      scale: 16,
      contextTokens: 4096,
    }),
    1,
  ) as [PlannedSession];
  const salted = saltedSession(plain, 5);
  expect(tokensOf(salted, 0)).toBe(tokensOf(plain, 0));
  expect(textOf(salted, 0).slice(0, 8)).not.toBe(textOf(plain, 0).slice(0, 8));
  expect(saltedSession(plain, 0)).toBe(plain);
});

const bundled = Object.keys(WORKLOADS).filter((name) => name !== 'requests' && name !== 'dataset');
test.each(bundled)(
  'the workload %s opens with its bundled trace and is named by its sha256',
  async (name) => {
    const workload = await openWorkload({
      name,
      tracePath: null,
      promptsPath: null,
      seed: 1,
      scale: null,
      contextTokens: 8192,
      gapScale: 20,
      gapMsMax: 10_000,
      editFormat: 'rewrite',
      fileTokens: [500, 2000, 8000],
      interruptShare: null,
      steerShare: null,
      countTokens: (text) => Math.ceil(text.length / 3.5),
      promptLengths: { kind: 'lognormal', median: 400, sigma: 0.6 },
      outputLengths: { min: 20, max: 60 },
      prefixShare: 0.5,
      turns: { min: 1, max: 4 },
    });
    expect(workload.source.sha256).toMatch(/^[0-9a-f]{64}$/);
    for (const planned of take(workload, 50)) {
      for (const turn of planned.turns) {
        expect(turn.promptTokens + turn.maxTokens).toBeLessThanOrEqual(8192 + 1);
        expect(turn.idealCachedTokens).toBeLessThanOrEqual(turn.promptTokens);
        expect(turn.maxTokens).toBeGreaterThan(0);
      }
    }
  },
);

const recordings = new URL('../../../../../shared/data/agent-sessions/sessions.rle.jsonl.gz', import.meta.url)
  .pathname;
const have = existsSync(recordings);
if (!have) console.log(`skipped: the whole agent trace is not at ${recordings}`);
test.skipIf(!have)('the whole recorded trace is read', () => {
  const workload = agentSessions({ ...agentOptions, path: recordings, scale: 16, contextTokens: 8192 });
  expect(workload.sessionCount).toBeGreaterThan(350);
});
