// What an evaluation harness asks (`echo` with `logprobs`, nothing or one token more) against transformers' float32
// log-probabilities of the same tokens, through a served SmolLM2.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import { type LocalServer, startLocalServer } from '../../server/cli/local-server.ts';
import { loadConfig } from '../../server/config/config.ts';
import { MemoryTerminal } from '../memory-terminal.ts';
import { builtGraphs } from '../run-folders.ts';
import { servedEnv } from '../served-env.ts';

interface SmolCase {
  readonly prompt?: string;
  readonly ids: readonly number[];
  readonly out: readonly number[];
  readonly lp: readonly number[]; // of each token of `out`, temperature 1
}

interface Choice {
  readonly text: string;
  readonly logprobs: {
    readonly tokens: readonly string[];
    readonly token_logprobs: readonly (number | null)[];
    readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  };
}

const file = join(import.meta.dirname, 'models/smollm2-135m-instruct/golden.json');
const cases = JSON.parse(readFileSync(file, 'utf8')) as readonly SmolCase[];
let server: LocalServer;

beforeAll(async () => {
  const flags = {
    ...{ port: 0, precision: 'fp32', contextTokens: '512', slots: '2' },
    cacheDirectory: builtGraphs(),
  };
  const host = { terminal: new MemoryTerminal(), env: {}, clock: new WallClock(), epochMs: () => Date.now() };
  server = await startLocalServer(loadConfig({ flags, env: servedEnv }), host);
}); // 540 MB of weights are written, once with gguf.test.ts

afterAll(() => server.stop());

async function judged(prompt: unknown, max_tokens: number): Promise<readonly Choice[]> {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt, max_tokens, echo: true, logprobs: 1, temperature: 0 }),
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as { choices: readonly Choice[] }).choices;
}

test('a batch of token ids is as likely as transformers says, token by token', async () => {
  const choices = await judged(
    cases.map(({ ids, out }) => [...ids, ...out]),
    0,
  );
  for (const [index, { ids, out, lp }] of cases.entries()) {
    const { token_logprobs: all, top_logprobs: tops } = choices[index]!.logprobs;
    expect(all).toHaveLength(ids.length + out.length);
    const drawn = all.slice(ids.length) as readonly number[];
    for (const [place, logprob] of drawn.entries()) expect(Math.abs(logprob - lp[place]!)).toBeLessThan(0.02);
    // `out` is the greedy answer, so each is the likeliest, as harnesses check it.
    for (const [place, top] of tops.slice(ids.length).entries())
      expect(Math.max(...Object.values(top!))).toBe(drawn[place]);
  }
});

test('a text is the same as its token ids, and what is drawn behind it does not change it', async () => {
  const { prompt, ids } = cases.find((one) => one.prompt !== undefined)!;
  const [ofText] = await judged(prompt, 1);
  const [ofIds] = await judged([ids], 0);
  expect(ofText!.logprobs.token_logprobs.slice(0, ids.length)).toEqual(ofIds!.logprobs.token_logprobs);
  expect(ofText!.logprobs.tokens).toHaveLength(ids.length + 1);
  expect(ofText!.text.startsWith(prompt!)).toBe(true);
});
