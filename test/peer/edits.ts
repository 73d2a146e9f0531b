// Real edits: the buggy function in a chat prompt, the right one as the answer; and the contrast set, where the answer
// repeats little of the prompt. Read from shared/data, which a checkout need not have.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export type EditSet = 'humanevalpack' | 'nofuneval';

export interface Edit {
  readonly prompt: string; // in the chat format of spark-nano
  readonly answer: string;
  readonly original: string; // what is to be edited: a client's natural prediction
}

const files: Readonly<Record<EditSet, string>> = {
  humanevalpack: 'humanevalpack/humanevalpack-js.jsonl.gz',
  nofuneval: 'nofuneval-perf-edits/runtime_efficiency.edits.jsonl.gz',
};

const answerCharactersMax = 1200; // about 400 tokens: two cores, and an edit is to take seconds
const stride = 7; // neighbours in the file resemble each other

/** Null where the data is not. In an order that mixes the file, each edit once. */
export function readEdits(set: EditSet): Edit[] | null {
  const path = join(import.meta.dirname, '../../../shared/data', files[set]);
  if (!existsSync(path)) return null;
  const rows = gunzipSync(readFileSync(path)).toString('utf8').trim().split('\n');
  return rows
    .map((_, index) => JSON.parse(rows[(index * stride) % rows.length]!) as Record<string, string>)
    .map(set === 'humanevalpack' ? bugFix : speedUp)
    .filter(({ answer }) => answer.length <= answerCharactersMax);
}

function bugFix(row: Record<string, string>): Edit {
  const whole = (body: string) => `${row['prompt']!.trimEnd()}\n${body.trimEnd()}\n`;
  const original = whole(row['buggy_solution']!);
  const prompt = promptOf(`Fix the bug in ${row['entry_point']}.`, original);
  return { prompt, original, answer: whole(row['canonical_solution']!) };
}

function speedUp(row: Record<string, string>): Edit {
  const original = `${row['source_code']!.trimEnd()}\n`;
  const prompt = promptOf('Rewrite the program so that it runs faster.', original);
  return { prompt, original, answer: `${row['target_code']!.trimEnd()}\n` };
}

function promptOf(instruction: string, original: string): string {
  const question = `${instruction} Answer with the whole new file and nothing else.\n\n${original}`;
  return `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`;
}
