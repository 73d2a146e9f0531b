// What guessing brings on edits, each answer forced to be the right one: from the text alone, and with the original predicted, as a
// client would. Counted, not timed, at the costs of a row that counted.ts has and where each token of a row costs nearly as much as one
// alone. Run: npx tsx test/bench/edit-turns.bench.ts [model, for its tokenizer]
import { argv } from 'node:process';
import { loadModel } from '../../models/model.ts';
import { type EditSet, readEdits } from '../peer/edits.ts';
import { type CountedResult, measured, played, printCounted, ways } from './counted.ts';

const sets: readonly EditSet[] = ['humanevalpack', 'nofuneval'];
const editsMax = 60; // of a set
const dear = new Map([1, 2, 5, 9].map((count) => [count, 1 + 0.7 * (count - 1)]));
const costs = { 'two threads': measured, ...ways, 'a row’s tokens 0.7 each': dear };

/** Null without ../shared/data. */
export function editTurnsBench(model: string): readonly CountedResult[] | null {
  const { tokenizer } = loadModel(model);
  const encode = (text: string) => Int32Array.from(tokenizer.encode(text));
  const results: CountedResult[] = [];
  for (const set of sets) {
    const edits = readEdits(set)?.slice(0, editsMax);
    if (edits === undefined) return null;
    const turns = edits.map(({ prompt, answer }) => ({ prompt: encode(prompt), answer: encode(answer) }));
    const predicted = turns.map((turn, index) => ({ ...turn, prediction: encode(edits[index]!.original) }));
    for (const [way, rowMs] of Object.entries(costs)) {
      results.push(played(`${set}, ${way}: the text`, turns, rowMs));
      results.push(played(`${set}, ${way}: predicted`, predicted, rowMs));
    }
  }
  return results;
}

if (argv[1] === import.meta.filename) printCounted(editTurnsBench(argv[2] ?? 'smollm2-135m-instruct'));
