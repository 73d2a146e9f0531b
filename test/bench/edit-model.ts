// What a model that edits can do, asked through the server's own chat route: the held-out cases of
// models/train/edit/held-out.jsonl, kind by kind. Prints a table for each model and precision.
//   npx tsx test/bench/edit-model.ts [--models spark-edit,smollm2-135m-instruct] [--precisions int8,int4,fp32] [--count 50]
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { unparsed } from './parse-check.ts';
import { median } from './samples.ts';
import { type Served, serve } from './served.ts';

const file = join(import.meta.dirname, '../../models/train/edit/held-out.jsonl');
const caseSchema = z.object({ kind: z.string(), question: z.string(), expected: z.string() });
type Case = z.output<typeof caseSchema>;
interface Answer {
  readonly text: string;
  readonly tokenCount: number;
  readonly ms: number; // asked → whole answer
}
const chatSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullable() }) })).length(1),
  usage: z.object({ completion_tokens: z.number() }),
});

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    models: { type: 'string', default: 'spark-edit,smollm2-135m-instruct' },
    precisions: { type: 'string', default: 'int8,int4' },
    count: { type: 'string', default: '50' }, // of each kind
  },
});
const cases = casesOf(Number(values.count));
const kinds = [...new Set(cases.map(({ kind }) => kind))];

console.log(`| model | ${kinds.join(' | ')} | all exact | parses | answer, median ms | tok/s |`);
console.log(`|---|${kinds.map(() => '---:|').join('')}---:|---:|---:|---:|`);
for (const model of values.models.split(',')) {
  for (const precision of values.precisions.split(',')) {
    const served = await serve(['--model', model, '--precision', precision]);
    try {
      console.log(`| ${model}, ${precision} | ${(await rowOf(served)).join(' | ')} |`);
    } finally {
      await served.stop();
    }
  }
}

function casesOf(countMax: number): readonly Case[] {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  const counts = new Map<string, number>();
  return lines
    .map((line) => caseSchema.parse(JSON.parse(line)))
    .filter(({ kind }) => {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      return counts.get(kind)! <= countMax;
    });
}

async function rowOf(served: Served): Promise<readonly string[]> {
  const answers: Answer[] = [];
  for (const one of cases) answers.push(await ask(served, one));
  const isExact = cases.map(({ expected }, i) => codeOf(answers[i]!.text) === expected.trim());
  const unfit = badOf(cases.map(({ expected }) => expected)); // a method alone is no program
  const bad = badOf(answers.map(({ text }) => codeOf(text)));
  const share = (right: readonly boolean[]) =>
    `${((100 * right.filter(Boolean).length) / right.length).toFixed(0)} %`;
  const tokens = answers.reduce((sum, { tokenCount }) => sum + tokenCount, 0);
  const totalMs = answers.reduce((sum, { ms }) => sum + ms, 0);
  return [
    ...kinds.map((kind) => share(isExact.filter((_, i) => cases[i]!.kind === kind))),
    share(isExact),
    share(answers.flatMap((_, i) => (unfit.has(i) ? [] : [!bad.has(i)]))),
    median(answers.map(({ ms }) => ms)).toFixed(0),
    (tokens / (totalMs / 1000)).toFixed(0),
  ];
}

function badOf(texts: readonly string[]): ReadonlySet<number> {
  return unparsed(texts.map((text) => ({ text, extension: 'ts' as const })));
}

/** The first fenced block, else the answer as it is. */
function codeOf(text: string): string {
  return (/```\w*\n([\s\S]*?)\n```/.exec(text)?.[1] ?? text).trim();
}

async function ask(served: Served, { question }: Case): Promise<Answer> {
  const startMs = performance.now();
  const response = await fetch(`${served.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      messages: [{ role: 'user', content: question }],
      temperature: 0,
      max_tokens: 400,
    }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const { choices, usage } = chatSchema.parse(await response.json());
  const text = choices[0]!.message.content ?? '';
  return { text, tokenCount: usage.completion_tokens, ms: performance.now() - startMs };
}
