// The simulator's commands as a person meets them: what they print, refuse, and write.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addSimulationCommands } from '../../../../loadtest/simulate/commands.ts';
import type { Summary } from '../../../../loadtest/simulate/summary.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'simulate-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function run(line: string, notes: string[] = []): Promise<string> {
  let text = '';
  const program = new Command().exitOverride().configureOutput({ writeErr() {} });
  addSimulationCommands(program, {
    write(part) {
      text += part;
    },
    note(part) {
      notes.push(part);
    },
    setExitCode() {},
  });
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr() {} });
  await program.parseAsync(line.split(' '), { from: 'user' });
  return text;
}

test('predict prints each number with what bounds it', async () => {
  const text = await run('predict --device h100 --model llama-3.1-8b --precision fp8 --isl 128 --osl 32');
  expect(text).toMatch(/TTFT .*memory bandwidth \(weights\)/);
  expect(text).toMatch(/ITL .*reading weights from memory/);
  expect(text).toContain('simulated: llama-3.1-8b fp8 on h100');
});

test('a first token that waits for other prompts is said to, with what bounds those', async () => {
  const crowd = 'predict --device h200 --model llama-3.1-8b --isl 1000 --osl 4 --concurrency 40';
  expect(await run(crowd)).toMatch(/TTFT .*prompts of others before it: compute \(linear layers\)/);
  expect(await run(crowd.replace('40', '1'))).not.toContain('prompts of others');
});

test('predict of a region is the latency model alone, and only for wafers', async () => {
  const found = JSON.parse(
    await run('predict --device wse2 --model llama-2-13b --region 540x540 --isl 4096 --json'),
  );
  expect(found.decodeTokensPerSecond / 1899.4).toBeCloseTo(1, 1);
  await expect(run('predict --device h100 --model llama-2-13b --region 9x9')).rejects.toThrow(/wse3/);
});

test('the same command prints the same bytes', async () => {
  const line =
    'simulate --device wse3 --model qwen2.5-coder-7b --isl 400 --osl 20 --rate 50 --requests 60 --json';
  expect(await run(line)).toBe(await run(line));
});

test('a model directory is read from its config.json', async () => {
  const config = {
    ...{
      hidden_size: 512,
      num_attention_heads: 8,
      num_hidden_layers: 4,
      intermediate_size: 1024,
      vocab_size: 1000,
    },
    max_position_embeddings: 4096,
  };
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  const fits = JSON.parse(await run(`devices --model ${directory} --json`)) as {
    device: string;
    count: number;
  }[];
  const others = fits.filter(({ count }) => count !== 1).map(({ device, count }) => [device, count]);
  // These come as a node of theirs, whatever the model.
  expect(others).toEqual([
    ['groqlpu', 8],
    ['sn40l', 16],
  ]);
  writeFileSync(join(directory, 'config.json'), '{');
  await expect(run(`devices --model ${directory}`)).rejects.toThrow(/not JSON/);
});

const isRefusal = (error: unknown): error is Error =>
  error instanceof Error && /^(Flag|Trace|DoesNotFit|UnknownShape)Error$/.test(error.name);

test('nonsense is refused by name and bound, as a refusal and not a fault', async () => {
  const refused = async (line: string): Promise<unknown> => run(line).catch((error: unknown) => error);
  expect(isRefusal(await refused('predict --device abacus --model llama-3.1-8b'))).toBe(true);
  expect(isRefusal(await refused('predict --device wse3 --wafers 1 --model llama-3.1-70b'))).toBe(true);
  expect(isRefusal(await refused('simulate --device h100 --model llama-3.1-8b --trace nowhere.csv'))).toBe(
    true,
  );
  expect(isRefusal(await refused('predict --device h100 --model llama-3.1-8b --rate 1 --max-load'))).toBe(
    true,
  );
  expect(await refused('predict --device h100 --model llama-3.1-8b --isl 0')).toBeInstanceOf(CommanderError);
  expect(await refused('predict --device h100 --model llama-3.1-8b --precision fp7')).toBeInstanceOf(
    CommanderError,
  );
});

const refusal = (line: string): Promise<string> =>
  run(line).then(
    () => 'not refused',
    (error: unknown) => (isRefusal(error) || error instanceof CommanderError ? error.message : String(error)),
  );

test('lengths beyond the context are refused in one line, whatever the load', async () => {
  const most = /--[io]sl .*at most 131072 tokens together/;
  for (const flags of ['--isl 131072 --osl 10', '--isl 200000 --osl 10 --rate 1', '--isl 100 --osl 200000']) {
    for (const load of ['', ' --max-load', ' --concurrency 9']) {
      if (flags.includes('--rate') && load !== '') continue;
      expect(await refusal(`predict --device h100 --model llama-3.1-8b ${flags}${load}`)).toMatch(most);
    }
  }
  const small = '--isl 1000 --osl 10 --context-tokens 512';
  expect(await refusal(`predict --device wse3 --model llama-3.1-8b ${small}`)).toMatch(/at most 512 tokens/);
});

test('absurd amounts, regions and flags of other devices are refused in one line', async () => {
  const refused: [string, RegExp][] = [
    ['--device h100 --rate 1e12', /from 0.000001 to 1000000/],
    ['--device h100 --concurrency 1000000', /1 to 65536/],
    ['--device h100 --seats 1000000000', /1 to 65536/],
    ['--device wse2 --region 9999x9999', /921 × 922 cores/],
    ['--device wse2 --region 1x1', /one layer of llama-3.1-8b needs/],
    ['--device wse3 --wafers 60000', /at most 64/],
    ['--device wse3 --wafers 3 --tp 2', /--tp .*a GPU/],
    ['--device h100 --kv-store-gb 5', /--kv-store-gb .*a wafer/],
    ['--device h100 --link-us 5', /--link-us .*a wafer/],
    ['--device h100 --users-planned 1', /--users-planned .*a wafer/],
    ['--device h100x2 --tp 4', /--tp .*h100x2/],
    ['--device h100 --tp 2 --dep 2', /--dep/],
    ['--device h100 --dep 4', /no experts/],
    ['--device a100 --precision fp8', /does not compute in fp8/],
  ];
  for (const [flags, message] of refused) {
    const text = await refusal(`predict --model llama-3.1-8b ${flags}`);
    expect(text).toMatch(message);
    expect(text.trim()).not.toContain('\n');
  }
});

test('every prediction says how far it was checked, or why it was not, and what it rests on', async () => {
  const predict = (flags: string): Promise<string> => run(`predict --isl 128 --osl 16 ${flags}`);
  const known = await predict('--device h100x2 --model llama-3.3-70b --precision fp8 --concurrency 2');
  expect(known).toMatch(/validated within [\d.]+ % on \d+ rows like this that were not fitted/);
  const other = await predict('--device mi300x --model llama-3.1-8b --precision fp8');
  expect(other).toMatch(/not validated: extrapolated because no published row is like this .*mi300x, not/);
  const mixture = await predict(
    '--device b200x4 --dep 4 --model deepseek-v3 --precision nvfp4 --kv-precision fp4',
  );
  expect(mixture).toMatch(/not validated: .*KV in fp4/);
  const wafer = await predict('--device wse3 --model llama-3.1-8b --users-planned 1');
  expect(wafer).toMatch(
    /plan: 1 × wse3, weights fp16, KV fp16, no speculation; placement for 1 user of 8192/,
  );
  const region = await run('predict --device wse2 --model llama-2-13b --region 540x540');
  expect(region).toMatch(/validated within/);
});

test('a model without --precision is in the format that it is published in, and the plan says so', async () => {
  const plan = async (flags: string): Promise<string> =>
    /plan: .*/.exec(await run(`predict --isl 100 --osl 4 ${flags}`))![0];
  expect(await plan('--device h100 --model gpt-oss-20b')).toContain('weights mxfp4 as published, KV fp16');
  expect(await plan('--device b200 --model gpt-oss-20b')).toContain('weights mxfp4 as published, KV fp8');
  expect(await plan('--device h200x8 --model deepseek-r1')).toContain('weights fp8 as published');
  expect(await plan('--device h100 --model gpt-oss-20b --precision fp16')).toContain(
    'weights fp16 (published: mxfp4)',
  );
  expect(await plan('--device h100 --model llama-3.1-8b')).toContain('weights fp16,');
  const known = await run('devices --model gpt-oss-120b --json');
  expect(JSON.parse(known)[0].precision).toBe('mxfp4');
});

test('the maximum load is a run of so many requests, all at once, until the last has ended', async () => {
  const line = 'predict --device h100 --model llama-3.1-8b --precision fp8 --isl 600 --osl 60 --max-load';
  const { summary } = JSON.parse(await run(`${line} --requests 500 --json`));
  expect(summary).toMatchObject({ requestCount: 500, runningMax: 500, preemptionCount: 0, refusedCount: 0 });
  expect(summary.load).toBe('500 requests at once, until the last has ended, 600/60 tokens');
  const few = JSON.parse(await run(`${line} --requests 50 --json`)).summary;
  expect(few.tokensPerSecond).toBeLessThan(summary.tokensPerSecond);
  expect(await refusal('predict --device h100 --model llama-3.1-8b --requests 50')).toMatch(
    /--requests .*--max-load beside it/,
  );
});

test("a chip of one's own is a JSON file, and a wrong field is refused by name", async () => {
  const file = join(directory, 'my-chip.json');
  const h100 = {
    ...{ name: 'mine', bf16_tflops: 989.5, fp8_tflops: 1979, memory_gb_per_second: 3350, memory_gb: 80 },
    ...{ link_gb_per_second: 450, power_w: 700 },
  };
  const flags = '--model llama-3.1-8b --precision fp8 --isl 200 --osl 20';
  writeFileSync(file, JSON.stringify(h100));
  const mine = await run(`predict --device ${file} ${flags} --tp 2`);
  expect(mine).toMatch(/on minex2/);
  expect(mine).toMatch(/not validated: extrapolated because .*mine, not h100/);
  const table = (text: string): string => text.split('\n').slice(1, 7).join('\n');
  expect(table(mine)).toBe(table(await run(`predict --device h100x2 ${flags}`)));
  for (const [wrong, field] of [
    [{ ...h100, memory_gb: -1 }, /memory_gb/],
    [{ ...h100, memory_gbs: 1 }, /memory_gbs/],
    [{ ...h100, power_w: undefined }, /power_w/],
    [{ ...h100, memory_gb_per_second: 1e-300 }, /memory_gb_per_second/],
    [{ ...h100, name: 'h100' }, /a name of its own/],
  ] as const) {
    writeFileSync(file, JSON.stringify(wrong));
    expect(await refusal(`predict --device ${file} ${flags}`)).toMatch(field);
  }
  writeFileSync(file, JSON.stringify(h100));
  const priced = await run(`predict --device ${file} ${flags} --price mine=3.6 --json`);
  expect((JSON.parse(priced) as { summary: Summary }).summary.usdPerMillionTokens).toBeGreaterThan(0);
  expect(await refusal(`predict --device ${join(directory, 'none.json')} ${flags}`)).toMatch(/readable JSON/);
});

test('the order of requests can be the one that serves', async () => {
  const line = 'simulate --device h100 --model llama-3.1-8b --isl 900 --osl 5 --rate 9 --requests 20';
  expect(await run(line)).toContain('first come, first served');
  expect(await run(`${line} --scheduler served`)).toContain('overtaken after 0.2 ms per token');
});

test('compare writes one page that needs nothing from anywhere', async () => {
  const html = join(directory, 'page.html');
  const load = '--isl 300 --osl 20 --rate 20 --requests 40 --users-max 4';
  const text = await run(
    `compare --devices wse3,h100 --model llama-3.1-8b ${load} --price h100=2 --html ${html}`,
  );
  expect(text).toContain('tokens/s of one user');
  const page = readFileSync(html, 'utf8');
  expect(page).not.toMatch(/<script|<link|src=|@import|url\(/);
  for (const title of ['Floorplan', 'Pipeline', 'KV blocks', 'Rows in a step', 'What one user gets']) {
    expect(page).toContain(title);
  }
  expect(page).toMatch(/wse3 gives one user alone \d+ tokens\/s/);
  expect(page).not.toMatch(/NaN|undefined|Infinity/);
});

test('predict tells and draws the on-chip schedule of a wafer, and of nothing else', async () => {
  const html = join(directory, 'schedule.html');
  const line = '--model llama-3.1-8b --isl 500 --osl 20';
  const found = JSON.parse(await run(`predict --device wse3 ${line} --json --html ${html}`)) as {
    schedule: { stages: object[]; tokenUs: number };
  };
  expect(found.schedule.stages).toHaveLength(33);
  expect(found.schedule.tokenUs).toBeGreaterThan(100);
  const page = readFileSync(html, 'utf8');
  for (const title of ['What lies where', 'When', 'Bytes of a core']) expect(page).toContain(title);
  expect(page).not.toMatch(/<script|src=|NaN|undefined/);
  const gpu = JSON.parse(await run(`predict --device h100 ${line} --json`)) as { schedule: null };
  expect(gpu.schedule).toBeNull();
  await expect(run(`predict --device h100 ${line} --html ${html}`)).rejects.toThrow(/--html .*a wafer/);
});

test('weights from external memory: the plan says what comes in, the schedule when, and nothing is claimed', async () => {
  const line = '--device wse3 --weights streamed --model llama-3.1-70b --isl 200 --osl 8 --users-planned 2';
  const file = join(directory, 'streamed.html');
  const text = await run(`predict ${line} --context-planned 1024 --html ${file}`);
  expect(text).toMatch(/ITL .*streaming weights from external memory/);
  expect(text).toMatch(/plan: 1 × wse3, .*; \d\d of 80 layers streamed, [\d.]+ GB a step at 150.0 GB\/s/);
  expect(text).toContain('not validated: extrapolated because no published row streams weights to a wafer');
  const page = readFileSync(file, 'utf8');
  expect(page).toContain('into buffer 2');
  expect(page).toContain('resident layer');
  const { schedule } = JSON.parse(await run(`predict ${line} --json`));
  expect(schedule.weights).toBe('streamed');
  expect(schedule.layers.length).toBe(81);
  await expect(run('predict --device h100 --weights streamed --model llama-3.1-8b')).rejects.toThrow(
    /a wafer/,
  );
  const table = await run(
    'compare --devices wse3,h100x4 --weights streamed --model llama-3.1-70b --isl 100 --osl 8 --rate 1 --requests 4 --users-max 2',
  );
  expect(table).toMatch(/wse3: .*layers streamed/);
});

test('pipeline stages that do not divide the layers are said to be uneven', async () => {
  const text = await run('predict --device h100 --pp 3 --model llama-3.1-8b --isl 100 --osl 4');
  expect(text).toContain('3 pipeline stages (32 layers, uneven: everybody waits for the stages of 11)');
  expect(await run('predict --device h100 --pp 2 --model llama-3.1-8b --isl 100 --osl 4')).not.toContain(
    'uneven',
  );
});

test('trust is claimed for what was held against published rows: placement, time outside the engine, users that begin at once', async () => {
  const wafer = 'predict --device wse3 --wafers 1 --model llama-3.1-8b --isl 100 --osl 4';
  expect(await run(wafer)).toMatch(/validated within [\d.]+ % on 3 rows/);
  expect(await run(`${wafer} --users-planned 1`)).toContain(
    'not validated: extrapolated because published rows',
  );
  const gpu =
    'predict --device h100x2 --model llama-3.1-70b --precision fp8 --isl 4000 --osl 8 --concurrency 4';
  const text = await run(gpu);
  expect(text).toContain('4 users that begin at once');
  expect(text).toMatch(/validated within .*; TTFT with --host-ms 4.7\n/);
  expect(await run(`${gpu} --host-ms 4.7`)).not.toContain('; TTFT with');
});

test('a comparison in threads prints the same bytes', async () => {
  const line =
    'compare --devices wse3,h100,h200 --model llama-3.1-8b --isl 200 --osl 8 --rate 4 --requests 20 --users-max 4 --price h100=2';
  expect(await run(`${line} --jobs 2 --json`)).toBe(await run(`${line} --json`));
});

test('trust is of models, lengths, crowds and runs like the published ones, not of all that the chip can do', async () => {
  const trust = async (flags: string): Promise<string> =>
    (JSON.parse(await run(`predict --device h100 --json ${flags}`)) as { trust: string }).trust;
  const load = '--precision fp8 --isl 1000 --osl 10 --max-load';
  expect(await trust(`--model llama-3.1-8b ${load} --requests 40`)).toMatch(/40 requests, .* have 3000(;|$)/);
  expect(await trust(`--model smollm2-135m ${load} --requests 40`)).toContain(
    '0.1 billion weights, published rows have 8 to 405.8',
  );
  const users = '--model llama-3.1-8b --isl 100 --osl 8';
  expect(await trust(`${users} --rate 8`)).toMatch(/^validated within/);
  expect(await trust(`${users} --concurrency 60`)).toContain('60 users at once, rows of such models have');
  expect(await trust('--model llama-3.1-8b --isl 100 --osl 400')).toContain('answers beyond 248 tokens');
  // NIM's rows of the 8B for more users are not what the simulation says: nothing is claimed of them.
  expect(await trust(`${users} --precision fp8 --concurrency 5`)).toContain(
    'rows of such models have at most 1',
  );
  expect(
    await trust('--tp 2 --model llama-3.3-70b --precision fp8 --concurrency 5 --isl 100 --osl 8'),
  ).toMatch(/^validated within/);
  const rate = (await run('predict --device wse3 --model llama-3.1-405b --isl 100 --osl 4'))
    .split('\n')
    .at(-2);
  expect(rate).toContain('405.8 billion weights, published rows have 8 to 70.6'); // its rows assume speculation
  expect(await trust(`${users} --scheduler served`)).toContain('published rows have requests in order');
});

test('a flag that counts for nothing in such a run is named, with what it belongs to', async () => {
  const named = async (line: string): Promise<string[]> => {
    const notes: string[] = [];
    await run(line, notes);
    return notes.filter((note) => note.includes('counts for nothing')).map((note) => note.split(' ')[0]!);
  };
  const gpu = '--device h100 --model llama-3.1-8b --isl 100 --osl 4';
  expect(await named(`predict ${gpu} --seed 4 --windowed-kv window --price wse3=9 --price-power 1`)).toEqual([
    ...['--seed', '--windowed-kv', '--price', '--price-power'],
  ]);
  expect(await named(`predict ${gpu} --rate 5 --seed 4 --price h100=2 --price-power 1`)).toEqual([]);
  const region = '--device wse2 --model llama-2-13b --region 540x540 --isl 64';
  expect(await named(`predict ${region} --precision fp8 --rate 3`)).toEqual(['--precision', '--rate']);
  expect(await named(`simulate ${gpu} --requests 3 --time-scale 2`)).toEqual(['--time-scale']);
  const trace = '--trace loadtest/traces/azure-code-2023.csv.gz --requests 3';
  expect(await named(`simulate --device h100 --model llama-3.1-8b ${trace} --isl 5 --seed 2`)).toEqual([
    ...['--isl', '--seed'],
  ]);
  expect(await named('predict --device wse3 --model llama-3.1-8b --isl 16 --osl 2 --link-us 3')).toEqual([
    '--link-us',
  ]);
});

test('a study of nothing, or one whose page cannot be written, is refused before it begins', async () => {
  const sessions = '--trace loadtest/traces/agent-sessions-40.rle.jsonl.gz';
  for (const command of ['simulate --device', 'compare --devices', 'fleet --device']) {
    const short = `${command} h100 --model llama-2-7b ${sessions}`;
    expect(await refusal(short)).toMatch(/^--trace .*requests of at most 4096 tokens: it has none$/);
  }
  const page = `--html ${join(directory, 'none', 'page.html')}`;
  const long = `--model llama-3.1-8b ${sessions} ${page}`;
  expect(await refusal(`compare --devices h100 ${long}`)).toMatch(/^--html .*file that can be written/);
  expect(await refusal(`fleet --device h100 ${long}`)).toMatch(/^--html .*file that can be written/);
  const fleet = `fleet --device h100 --model llama-3.1-8b ${sessions} --nodes 1 --policies round-robin`;
  expect(await refusal(`${fleet} --minutes 1 --fail 50%@2m/1m`)).toMatch(/--fail .*before the end, minute 1/);
  expect(await refusal(`${fleet} --minutes 0.001`)).toMatch(/--minutes .*long enough for a turn to end/);
});

test('fitted rows that are farther off than those that were not are told beside them', async () => {
  const line = 'predict --device h100 --model gpt-oss-20b --isl 1000 --osl 2 --max-load --json';
  const { trust } = JSON.parse(await run(line)) as { trust: string };
  expect(trust).toMatch(
    /^validated within 11.6 % on 1 row like this that was not fitted .*; fitted rows .*16 %/,
  );
});
