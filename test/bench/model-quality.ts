// What a model can do, asked through the server's own routes: the cases that models/train/cases.py drew from held-out
// files. Prints one JSON line: exact matches by kind, edit similarity, and how many completions the compiler parses.
//   npx tsx test/bench/model-quality.ts MODEL-OR-FOLDER [cases.jsonl] [count]
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { unparsed } from './parse-check.ts';
import { serve } from './served.ts';

const root = join(import.meta.dirname, '../..');
const caseSchema = z.object({
  kind: z.enum(['rename', 'remove-line', 'fim-line', 'complete']),
  path: z.string(), // of the file, with its repository
  prompt: z.string(),
  suffix: z.string().optional(),
  head: z.string().optional(), // the signature's line, of `complete`
  expected: z.string(),
});
type Case = z.output<typeof caseSchema>;
const completionSchema = z.object({ choices: z.array(z.object({ text: z.string() })).length(1) });
const chatSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullable() }) })).length(1),
});

const model = process.argv[2] ?? 'spark-nano';
const file = process.argv[3] ?? join(root, 'models/train/data/cases.jsonl');
const countMax = Number(process.argv[4] ?? 200); // of each kind

const lines = readFileSync(file, 'utf8').trim().split('\n');
const cases = lines.map((line) => caseSchema.parse(JSON.parse(line)));
const served = await serve(['--model', model]);
try {
  const result: Record<string, unknown> = { model };
  for (const kind of caseSchema.shape.kind.options) {
    const some = cases.filter((one) => one.kind === kind).slice(0, countMax);
    if (some.length === 0) continue;
    const answers: string[] = [];
    for (const one of some) answers.push(await answerTo(one));
    result[kind] = kind === 'complete' ? parsedOf(some, answers) : matched(some, answers);
    console.error(kind, JSON.stringify(result[kind]));
  }
  console.log(JSON.stringify(result));
} finally {
  await served.stop();
}

async function answerTo(one: Case): Promise<string> {
  const common = { model: basename(model), temperature: 0, max_tokens: one.kind === 'fim-line' ? 48 : 256 };
  if (one.kind === 'rename' || one.kind === 'remove-line') {
    const messages = [{ role: 'user', content: one.prompt }];
    const { choices } = chatSchema.parse(await post('/v1/chat/completions', { ...common, messages }));
    return /```\w*\n([\s\S]*?)\n```/.exec(choices[0]!.message.content ?? '')?.[1] ?? '';
  }
  const suffix = one.suffix === undefined ? {} : { suffix: one.suffix };
  const stop = one.kind === 'fim-line' ? ['\n'] : ['\n}'];
  const { choices } = completionSchema.parse(
    await post('/v1/completions', { ...common, ...suffix, stop, prompt: one.prompt }),
  );
  return choices[0]!.text;
}

async function post(path: string, body: object): Promise<unknown> {
  const response = await fetch(`${served.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

function matched(some: readonly Case[], answers: readonly string[]) {
  const exact = some.filter((one, i) => one.expected.trim() === answers[i]!.trim()).length;
  const similarity = some.reduce((sum, one, i) => sum + similarityOf(one.expected, answers[i]!), 0);
  return { count: some.length, exact, editSimilarity: Number((similarity / some.length).toFixed(3)) };
}

/** 1 − Levenshtein distance / longer length, over characters; 1 for two empty texts. */
function similarityOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, swap));
    }
    row = next;
  }
  return 1 - row[b.length]! / Math.max(a.length, b.length, 1);
}

/** Only functions whose true text parses alone count: the instrument must be able to say yes. */
function parsedOf(some: readonly Case[], answers: readonly string[]) {
  const truths = some.map((one) => one.expected.replace(/\n\}$/, ''));
  const unfit = badOnes(some, truths);
  const fit = some.map((_, i) => i).filter((i) => !unfit.has(i));
  const bad = badOnes(some, answers);
  return { count: fit.length, unfit: unfit.size, parsed: fit.filter((i) => !bad.has(i)).length };
}

/** The head and the answer up to the closing brace, as files of their own. */
function badOnes(some: readonly Case[], answers: readonly string[]): ReadonlySet<number> {
  return unparsed(
    some.map((one, i) => ({
      text: `${one.head}\n${answers[i]}\n}\n`,
      extension: one.path.endsWith('x') ? ('tsx' as const) : ('ts' as const),
    })),
  );
}
