// Hostile model files: servers are started with each, in a process of little memory; and chat templates that were written
// to hold a server up, in one that serves them.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { writeTinyModel } from '../golden/tiny-model.ts';
import { ADA, Arena } from './arena.ts';
import type { Family, Fault } from './fault.ts';
import { brokenModel, MODEL_CASES, setTemplate } from './model-cases.ts';
import type { Attempt } from './start-attempts.ts';

const HEAP_MIB = 256; // of the process that starts them
const MEMORY_SIZE_MAX = 512 * 2 ** 20; // bytes, all of it: the program itself takes some 140 MiB

const DOES: Readonly<Record<string, string>> = {
  places: 'no files, empty ones, FIFOs, devices, directories, terabytes of zeros in their places',
  safetensors: 'heads and data that are cut, overlap, lie, promise terabytes; weights of NaN and infinity',
  config: 'config.json with layers, widths and heads that are absurd, negative, halves, words',
  tokenizer: 'tokenizers and templates with absurd ids, steps of nobody, nesting without end',
  gguf: 'GGUF heads that are cut, lie, promise 2^60 of everything; absurd metadata',
};

const TEMPLATES: Readonly<Record<string, string>> = {
  'a range of 10^9': '{% for i in range(10 ** 9) %}x{% endfor %}',
  'ranges in ranges': '{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}',
  'text that doubles':
    '{% set n = namespace(t="x") %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}{{ n.t }}',
  'text times 10^12': '{{ "x" * 10 ** 12 }}',
  'lists that double':
    '{% set n = namespace(t=[1]) %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}{{ n.t }}',
  'lists of lists that double':
    '{% set n = namespace(t=[1]) %}{% for i in range(60) %}{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.t == n.t }}',
  'sets of everything': '{{ range(99999) | unique | list | length }}{{ [[1]] * 1000000 | sum(start=[]) }}',
  'work on large texts':
    '{% set t = "x" * 1000000 %}{% for i in range(99999) %}{% if t | upper == t %}{% endif %}{% endfor %}',
  'joins of large texts': '{{ ("x," * 500000).split(",") | join("x" * 1000000) }}',
  'a macro that calls itself': '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}',
  'replacements that double':
    '{% set n = namespace(t="x") %}{% for i in range(60) %}{% set n.t = n.t | replace("x", "xx") %}{% endfor %}{{ n.t }}',
  'a wide margin': '{{ "%1000000000d" | format(1) }}',
};

export const models: Family = {
  name: 'Hostile model files and templates',
  faults: [
    ...Object.keys(MODEL_CASES).map(
      (family): Fault => ({
        id: `models/${family}`,
        does: `${Object.keys(MODEL_CASES[family]!).length} starts: ${DOES[family]}`,
        promise: `refused in one line that names the file; never more than ${MEMORY_SIZE_MAX / 2 ** 20} MiB`,
        pace: 'slow',
        inject: () => refusals(MODEL_CASES[family]!),
      }),
    ),
    {
      id: 'models/templates',
      does: `${Object.keys(TEMPLATES).length} chat templates that never end, or grow without end`,
      promise: 'the chat gets 400 that names the template; the server goes on',
      pace: 'slow',
      inject: () => templates(),
    },
  ],
};

async function refusals(cases: (typeof MODEL_CASES)[string]): Promise<number> {
  const names = Object.keys(cases);
  const attempts = await inDirectory(async (directory) => {
    const paths = names.map((name, index) => brokenModel(join(directory, `${index}`), cases[name]!));
    const script = join(import.meta.dirname, 'start-attempts.ts');
    const args = [`--max-old-space-size=${HEAP_MIB}`, '--import', 'tsx', script, join(directory, 'cache')];
    const { stdout } = await promisify(execFile)(execPath, [...args, ...paths]);
    return stdout.trimEnd().split('\n');
  });
  expect(attempts.length).toBe(names.length);
  for (const [index, line] of attempts.entries()) {
    const attempt = JSON.parse(line) as Attempt;
    expect(attempt, names[index]).toMatchObject({ code: 1, served: false });
    const notes = attempt.notes.replaceAll(/^building .*\n/gm, ''); // told now and then, where it takes long
    expect(notes, names[index]).toMatch(/^sparklane: (?!\w*Error)[^\n]{10,1000}\n$/);
    expect(attempt.memorySizeMax, names[index]).toBeLessThan(MEMORY_SIZE_MAX);
  }
  return names.length;
}

async function templates(): Promise<number> {
  await inDirectory(async (directory) => {
    for (const [index, [name, template]] of Object.entries(TEMPLATES).entries()) {
      const model = writeTinyModel(join(directory, `${index}`), { stops: false });
      setTemplate(model, template);
      const arena = await Arena.start(join(directory, 'cache'), { model, precision: 'fp32' });
      try {
        const messages = [{ role: 'user', content: 'x' }];
        const { status, text } = await arena.post('/v1/chat/completions', { messages, max_tokens: 2 });
        expect({ name, status, text }).toMatchObject({
          status: 400,
          text: expect.stringContaining('template'),
        });
        expect((await arena.post('/v1/completions', { prompt: 'a', max_tokens: 2 }, {}, ADA)).status).toBe(
          200,
        );
      } finally {
        await arena.stop();
      }
    }
  });
  return Object.keys(TEMPLATES).length;
}

async function inDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-test-'));
  try {
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
