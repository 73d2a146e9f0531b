// Traces and data sets in the forms in which they are published, as a workload and as a simulator's load.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { replayLoad } from '../../../../loadtest/simulate/replay.ts';
import { dataset } from '../../../../loadtest/workload/dataset.ts';
import { drawLength, parseLengths } from '../../../../loadtest/workload/lengths.ts';
import { readRequests } from '../../../../loadtest/workload/recorded-requests.ts';
import { requestWorkload } from '../../../../loadtest/workload/request-workload.ts';
import type { PlannedSession, Workload } from '../../../../loadtest/workload/turn.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();
let fileCount = 0;

function file(text: string | Uint8Array): string {
  const path = join(directory, `trace-${++fileCount}`);
  writeFileSync(path, text);
  return path;
}

const lines = (...rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

test.each([
  [
    'azure',
    'TIMESTAMP,ContextTokens,GeneratedTokens',
    '2023-11-16 18:15:46.6805900,374,44',
    '2023-11-16 18:15:50.9951690,396,109',
  ],
  [
    'azure',
    'TIMESTAMP,ContextTokens,GeneratedTokens',
    '2024-05-10 00:00:00.009930+00:00,374,44',
    '2024-05-10 02:00:04.324509+02:00,396,109',
  ],
  [
    'azure',
    'TIMESTAMP,NumImages,ContextTokens,GeneratedTokens',
    '2024-10-15 12:00:00.0,1,374,44',
    '2024-10-15 12:00:04.314579,0,396,109',
  ],
  [
    'burstgpt',
    'Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type',
    '5,ChatGPT,374,44,418,Conversation log',
    '9.314579,GPT-4,396,109,505,"API, log"',
  ],
  ['vidur', 'arrived_at,num_prefill_tokens,num_decode_tokens', '0,374,44', '4.314579,396,109'],
])('%s: %s', (form, ...rows) => {
  const path = file(`${rows.join('\r\n')}\r\n`);
  const trace = readRequests(path);
  expect(trace.form).toBe(form);
  expect(trace.requests.map(({ promptTokens, outputTokens }) => [promptTokens, outputTokens])).toEqual([
    [374, 44],
    [396, 109],
  ]);
  expect(trace.requests[0]!.atMs).toBe(0);
  expect(trace.requests[1]!.atMs).toBeCloseTo(4314.579, 3);
  const bounds = { timeScale: 2, sessionsPerHour: 60, requestsMax: 10, contextTokensMax: 450 };
  const clients = [...{ [Symbol.iterator]: () => replayLoad({ path, ...bounds }).clients() }];
  expect(clients).toHaveLength(1); // the second is too long
});

test('requests that nobody answered are left out, and said to be', () => {
  const rows = [
    'Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type',
    '1,a,10,0,10,x',
    '2,a,10,5,15,x',
  ];
  const trace = readRequests(file(rows.join('\n')));
  expect(trace.requests).toHaveLength(1);
  expect(trace.notes).toEqual(['1 requests that were not answered are left out']);
});

test('block ids may be names or missing, and lengths that do not fit them are named', () => {
  const options = { promptsPath: null, countTokens: () => 1, seed: 1, scale: 1, contextTokens: 10_000 };
  const named = requestWorkload('requests', {
    ...options,
    path: file(
      lines(
        { timestamp: 0, input_length: 1024, output_length: 5, hash_ids: ['a', 'b'] },
        { timestamp: 1, input_length: 1024, output_length: 5, hash_ids: ['a', 'c'] },
        { timestamp: 2, input_length: 2000, output_length: 5, hash_ids: [7] },
      ),
    ),
  });
  const sessions = named.sessions();
  const ideal = [1, 2, 3].map(() => (sessions.next().value as PlannedSession).turns[0]!.idealCachedTokens);
  expect(ideal).toEqual([0, 512, 0]);
  expect(named.notes[1]).toMatch(
    /^1 requests have ids for another length .*line 3: 1 ids of 512 for 2000 tokens/,
  );
  const bare = requestWorkload('requests', {
    ...options,
    path: file(lines({ input_length: 10, output_length: 5 }, { input_length: 10, output_length: 5 })),
  });
  expect(bare.notes[1]).toMatch(/no hash_ids/);
  const bailian = readRequests(
    file(lines({ chat_id: 1, timestamp: 1.5, input_length: 30, output_length: 2, hash_ids: [1, 2] })),
  );
  expect(bailian).toMatchObject({ form: 'bailian', blockTokens: 16, notes: [] });
  expect(() => readRequests(file(lines({ input_length: 5, output_length: 1, hash_ids: [-1] })))).toThrow(
    /line 1: hash_ids\[0\]: expected a whole number or a name/,
  );
  expect(() => readRequests(file(lines({ prompt: 'x' })))).toThrow(/line 1: expected an Azure/);
  expect(() => requestWorkload('requests', { ...options, path: '' })).toThrow(/--trace/);
});

const datasetOptions = {
  countTokens: (text: string) => text.trim().split(/\s+/).length,
  contextTokens: 40,
  outputTokens: 9,
  gapMs: 7,
};
const first = (workload: Workload) => workload.sessions().next().value as PlannedSession;
const plan = ({ turns }: PlannedSession) =>
  turns.map(({ items, promptTokens, idealCachedTokens, maxTokens, gapMs }) => [
    items.map(({ role }) => role).join(),
    ...[promptTokens, idealCachedTokens, maxTokens, gapMs],
  ]);

const shareGpt = {
  id: 'c1',
  conversations: [
    { from: 'system', value: 'be brief' },
    { from: 'human', value: 'one two three' },
    { from: 'gpt', value: 'four five' },
    { from: 'human', value: 'six' },
    { from: 'gpt', value: 'seven' },
  ],
};

test.each([
  ['a JSON array', JSON.stringify([shareGpt], null, 1)],
  ['JSON lines', lines(shareGpt)],
])('ShareGPT as %s: turns, and answers as long as the recorded ones', async (_, text) => {
  const workload = await dataset({ ...datasetOptions, path: file(text) });
  expect(plan(first(workload))).toEqual([
    ['system,user', 5, 0, 2, 0],
    ['user', 8, 7, 1, 7],
  ]);
});

test.each([
  ['a prompt', { prompt: 'a b c' }, [['user', 3, 0, 9, 0]]],
  ['a question and its answer', { question: 'a b', answer: 'c d e' }, [['user', 2, 0, 3, 0]]],
  ['an instruction with an input', { instruction: 'a b', input: 'c', output: 'd' }, [['user', 3, 0, 1, 0]]],
  [
    'messages',
    {
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b c' },
      ],
    },
    [['user', 1, 0, 2, 0]],
  ],
  [
    'turns of text',
    { turns: ['a b', 'c'] },
    [
      ['user', 2, 0, 9, 0],
      ['user', 12, 11, 9, 7],
    ],
  ],
  ['a stated length', { prompt: 'a', output_tokens: 4 }, [['user', 1, 0, 4, 0]]],
])('a row with %s', async (_, row, expected) => {
  expect(plan(first(await dataset({ ...datasetOptions, path: file(lines(row)) })))).toEqual(expected);
});

test('Parquet rows are rows', async () => {
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: 'prompt', data: ['a b', 'c'], type: 'STRING' },
      { name: 'output_tokens', data: [3, 4], type: 'INT32' },
    ],
  });
  const workload = await dataset({ ...datasetOptions, path: file(new Uint8Array(buffer)) });
  expect(workload.sessionCount).toBe(2);
  expect(plan(first(workload))).toEqual([['user', 2, 0, 3, 0]]);
});

test('what is no data set is refused by its line; what does not fit is counted', async () => {
  const open = (text: string) => dataset({ ...datasetOptions, path: file(text) });
  await expect(open('{"prompt":"a"}\nnonsense\n')).rejects.toThrow(/line 2: not JSON/);
  await expect(open(lines({ prompt: 'a' }, { label: 3 }))).rejects.toThrow(/line 2: none of conversations/);
  await expect(open('PAR1 nonsense')).rejects.toThrow(/not readable as Parquet/);
  await expect(open(lines({ prompt: 'a '.repeat(50) }))).rejects.toThrow(/--context/);
  const cut = await open(lines({ prompt: 'a '.repeat(50) }, { prompt: 'b' }));
  expect(cut.notes[0]).toMatch(/^1 of 2 conversations end before/);
});

test('lengths are drawn as they are stated, or refused', () => {
  const random = new Random(3);
  const mean = (text: string) => {
    const lengths = parseLengths('isl', text);
    return (
      Array.from({ length: 4000 }, () => drawLength(lengths, random)).reduce((sum, one) => sum + one, 0) /
      4000
    );
  };
  expect(mean('500')).toBe(500);
  expect(mean('100..300')).toBeCloseTo(200, -1);
  expect(Math.abs(mean('normal:800,100') - 800)).toBeLessThan(10);
  expect(Math.abs(mean('lognormal:400,0.5') / (400 * Math.exp(0.125)) - 1)).toBeLessThan(0.05);
  for (const text of ['', '0', '5..', '9..3', '1..2..3', 'normal:5', 'gaussian:1,2', '1.5'])
    expect(() => parseLengths('osl', text)).toThrow(/--osl .*normal:MEAN/);
});
