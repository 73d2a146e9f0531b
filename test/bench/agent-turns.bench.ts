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
import { Drafter } from '../../server/engine/drafter.ts';
import type { RememberedAnswers } from '../../server/engine/request.ts';
import { Speculation } from '../../server/engine/speculation.ts';

const path = join(import.meta.dirname, '../../../shared/data/miniswe-text-sessions/miniswe.jsonl.gz');
const guessesMax = 15;
// ms of a row of so many tokens; what lies between is nearly straight.
const measured = new Map([
  [1, 6],
  [2, 6.4],
  [4, 7.2],
  [8, 9.2],
  [16, 13],
]);

// The same in steps of one token, on one thread, of rows of up to 9: as docs/lab/precision.md has them.
const ways: Readonly<Record<string, ReadonlyMap<number, number>>> = {
  'computed together': new Map(pairs(1, 1.2, 1.8, 2.3)),
  'each as if alone, behind 60': new Map(pairs(1, 1.35, 2.02, 2.63)),
  'each as if alone, behind 200': new Map(pairs(1, 1.7, 2.44, 3.49)),
  'each as if alone, behind 900': new Map(pairs(1, 2.08, 3.63, 5.43)),
  'over int8 KV': new Map(pairs(1, 1.11, 1.74, 2.3)),
};

/** Costs of rows of 1, 2, 5 and 9. */
function pairs(...costs: readonly [number, number, number, number]): readonly (readonly [number, number])[] {
  return [1, 2, 5, 9].map((count, index) => [count, costs[index]!] as const);
}

interface Turn {
  readonly session: string;
  readonly prompt: Int32Array;
  readonly answer: Int32Array;
}

export interface TurnsResult {
  readonly way: string;
  readonly tokensPerStep: number;
  readonly speedup: number;
  readonly right: number;
  readonly wrong: number;
}

/** Null without ../shared/data. */
export function agentTurnsBench(model: string): readonly TurnsResult[] | null {
  if (!existsSync(path)) return null;
  const turns = readTurns(model);
  const rowMs = interpolated(measured);
  return [
    played('nothing remembered', turns, rowMs, () => null),
    played('own session remembered', turns, rowMs, new Remembering(32_768, true).before),
    played('key remembered, 8,192 tokens', turns, rowMs, new Remembering(8192, false).before),
    played('key remembered, 32,768 tokens', turns, rowMs, new Remembering(32_768, false).before),
    ...Object.entries(ways).map(([way, costs]) =>
      played(`likewise, ${way}`, turns, interpolated(costs), new Remembering(32_768, false).before),
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

function played(
  way: string,
  turns: readonly Turn[],
  rowMs: readonly number[],
  rememberedBefore: (turn: Turn) => RememberedAnswers | null,
): TurnsResult {
  const sum = { steps: 0, tokens: 0, ms: 0, right: 0, wrong: 0 };
  for (const turn of turns) {
    const { prompt, answer } = turn;
    const tokens = Int32Array.of(...prompt, ...answer);
    const drafter = new Drafter(null, rememberedBefore(turn));
    const speculation = new Speculation();
    const costs = { decodeMs: rowMs, rowMs };
    let count = prompt.length + 1; // the first comes with the prompt
    while (count < tokens.length) {
      const room = Math.min(guessesMax, rowMs.length - 1, tokens.length - count - 1);
      const draft = room < 1 ? null : drafter.draft(tokens, { count, promptCount: prompt.length }, room);
      const guesses =
        draft === null
          ? 0
          : speculation.worthwhileCount(draft, costs, { decodingCount: 1, contextTokens: 0 }) ||
            speculation.probeCount(draft, count - prompt.length);
      let right = 0;
      while (right < guesses && draft!.tokens[right] === tokens[count + right]) right++;
      if (guesses > 0) speculation.learn(draft!, { count: guesses, accepted: right });
      count += right + 1;
      sum.steps++;
      sum.tokens += right + 1;
      sum.ms += rowMs[guesses]!;
      sum.right += right;
      sum.wrong += guesses - right;
    }
  }
  const { steps, tokens, ms, right, wrong } = sum;
  return { way, tokensPerStep: tokens / steps, speedup: (tokens * rowMs[0]!) / ms, right, wrong };
}

function interpolated(costs: ReadonlyMap<number, number>): number[] {
  const points = [...costs];
  const [first] = points;
  const values = [first![1]];
  for (const [index, [end, endMs]] of points.entries()) {
    if (index === 0) continue;
    const [start, startMs] = points[index - 1]!;
    for (let count = start + 1; count <= end; count++)
      values.push(startMs + ((endMs - startMs) * (count - start)) / (end - start));
  }
  return values;
}

if (argv[1] === import.meta.filename) {
  const results = agentTurnsBench(argv[2] ?? 'smollm2-135m-instruct');
  if (results === null) console.log('skipped: no ../shared/data');
  else
    console.table(
      results.map(({ way, tokensPerStep, speedup, right, wrong }) => ({
        way,
        'tokens a step': tokensPerStep.toFixed(2),
        'times one by one': speedup.toFixed(2),
        'guesses right': right,
        wrong,
      })),
    );
}
