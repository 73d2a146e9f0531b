// What a schema costs: tokens per second of constrained against free decoding of the same prompt through the whole
// server, in turn, round by round. Run: npx tsx test/bench/constrained.bench.ts [server flags]
import { argv } from 'node:process';
import { median } from './samples.ts';
import { serve } from './served.ts';

const outputTokens = 256;
const roundCount = 8; // after two that warm up

/** An endless list of what an agent's answer may hold: names, numbers, choices, nested lists. */
const schema = {
  type: 'array',
  minItems: 1000,
  items: {
    type: 'object',
    properties: {
      path: { type: 'string' },
      line: { type: 'integer' },
      kind: { enum: ['add', 'remove', 'replace'] },
      notes: { type: 'array', items: { type: 'string' } },
    },
    required: ['path', 'line', 'kind', 'notes'],
    additionalProperties: false,
  },
};

export interface ConstrainedCosts {
  readonly freeTokensPerSecond: number; // medians
  readonly constrainedTokensPerSecond: number;
  readonly ratio: number; // median over rounds of constrained / free
}

export async function constrainedBench(flags: readonly string[]): Promise<ConstrainedCosts> {
  const served = await serve(flags);
  try {
    const rounds: { free: number; constrained: number }[] = [];
    for (let round = -2; round < roundCount; round++) {
      const free = await tokensPerSecond(served.url, { ignore_eos: true });
      const constrained = await tokensPerSecond(served.url, {
        response_format: { type: 'json_schema', json_schema: { name: 'edits', strict: true, schema } },
      });
      if (round >= 0) rounds.push({ free, constrained });
    }
    return {
      freeTokensPerSecond: median(rounds.map(({ free }) => free)),
      constrainedTokensPerSecond: median(rounds.map(({ constrained }) => constrained)),
      ratio: median(rounds.map(({ free, constrained }) => constrained / free)),
    };
  } finally {
    await served.stop();
  }
}

/** First chunk of text to last; usage says how many tokens lie between them. */
async function tokensPerSecond(url: string, more: Readonly<Record<string, unknown>>): Promise<number> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      messages: [{ role: 'user', content: 'List the edits as JSON.' }],
      max_tokens: outputTokens,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
      ...more,
    }),
  });
  let firstMs = 0;
  let lastMs = 0;
  let tail = '';
  const decoder = new TextDecoder();
  for await (const bytes of answer.body!) {
    const text = decoder.decode(bytes, { stream: true });
    tail = (tail + text).slice(-2000);
    if (!text.includes('"content":"')) continue;
    lastMs = performance.now();
    if (firstMs === 0) firstMs = lastMs;
  }
  const tokens = Number(/"completion_tokens":(\d+)/.exec(tail)?.[1]);
  if (!(tokens > outputTokens / 2)) throw new Error(`too short an answer to measure: ${tail}`);
  return ((tokens - 1) * 1000) / (lastMs - firstMs);
}

export function printConstrained(costs: ConstrainedCosts): void {
  const { freeTokensPerSecond, constrainedTokensPerSecond, ratio } = costs;
  console.log(
    `\ndecoding under a JSON schema: ${constrainedTokensPerSecond.toFixed(0)} tok/s, ` +
      `free ${freeTokensPerSecond.toFixed(0)} tok/s, ratio ${ratio.toFixed(3)} (median of ${roundCount} rounds)`,
  );
}

if (argv[1] === import.meta.filename) printConstrained(await constrainedBench(argv.slice(2)));
