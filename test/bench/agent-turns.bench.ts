// What guessing brings on recorded agent's turns, whose clients send no earlier answers back: 402 calls of 20 sessions, each
// answer forced to be the recorded one. Counted, not timed: tokens a step, and times as fast as one by one at the costs of a
// row that are given here (SmolLM2-135M at int8 on two threads). Each way of remembering is played from the first turn on.
// Run: npx tsx test/bench/agent-turns.bench.ts [model, for its tokenizer]
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { gunzipSync } from 'node:zlib';
import { loadModel } from '../../models/model.ts';
import { AnswerMemory } from '../../server/engine/answer-memory.ts';
import { type CountedResult, type CountedTurn, measured, played, printCounted, ways } from './counted.ts';

const path = join(import.meta.dirname, '../../../shared/data/miniswe-text-sessions/miniswe.jsonl.gz');
interface Turn extends CountedTurn {
  readonly session: string;
}

/** Null without ../shared/data. */
export function agentTurnsBench(model: string): readonly CountedResult[] | null {
  if (!existsSync(path)) return null;
  const turns = readTurns(model);
  return [
    played('nothing remembered', turns, measured),
    played('own session remembered', turns, measured, new Remembering(32_768, true).before),
    played('key remembered, 8,192 tokens', turns, measured, new Remembering(8192, false).before),
    played('key remembered, 32,768 tokens', turns, measured, new Remembering(32_768, false).before),
    ...Object.entries(ways).map(([way, costs]) =>
      played(`likewise, ${way}`, turns, costs, new Remembering(32_768, false).before),
    ),
  ];
}

/** What has been answered before each turn. */
class Remembering {
  readonly #tokensMax: number;
  readonly #perSession: boolean;
  #memory: AnswerMemory;
  #last: Turn | null = null;

  constructor(tokensMax: number, perSession: boolean) {
    this.#tokensMax = tokensMax;
    this.#perSession = perSession;
    this.#memory = new AnswerMemory(tokensMax);
  }

  readonly before = (turn: Turn): AnswerMemory => {
    if (this.#last !== null) this.#memory.remember(null, [...this.#last.answer], 0);
    if (this.#perSession && this.#last?.session !== turn.session)
      this.#memory = new AnswerMemory(this.#tokensMax);
    this.#last = turn;
    return this.#memory;
  };
}

function readTurns(model: string): Turn[] {
  const { tokenizer } = loadModel(model);
  const lines = gunzipSync(readFileSync(path)).toString('utf8').trim().split('\n');
  return lines.map((line) => {
    const { session_id: session, input, output } = JSON.parse(line) as Record<string, string>;
    const encode = (text: string) => Int32Array.from(tokenizer.encode(text));
    return { session: session!, prompt: encode(input!), answer: encode(output!) };
  });
}

if (argv[1] === import.meta.filename) printCounted(agentTurnsBench(argv[2] ?? 'smollm2-135m-instruct'));
