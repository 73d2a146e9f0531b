// The simulator's commands as a person meets them: what they print, refuse, and write.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addSimulationCommands, isRefusal } from '../../../../loadtest/simulate/commands.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'simulate-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function run(line: string): Promise<string> {
  let text = '';
  const program = new Command().exitOverride().configureOutput({ writeErr() {} });
  addSimulationCommands(program, {
    write(part) {
      text += part;
    },
    note() {},
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
  const fits = JSON.parse(await run(`devices --model ${directory} --json`));
  expect(fits.every(({ count }: { count: number }) => count === 1)).toBe(true);
  writeFileSync(join(directory, 'config.json'), '{');
  await expect(run(`devices --model ${directory}`)).rejects.toThrow(/not JSON/);
});

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
