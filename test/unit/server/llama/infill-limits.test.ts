// What llama.vscode adds to /infill: a bound in time, several answers, the cursor's indentation, samplers, timings.
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { AnswerTimes } from '../../../../server/generation/answer-times.ts';
import { LineLimits } from '../../../../server/llama/line-limits.ts';
import { BYTE_EOS } from '../../../byte-text.ts';
import type { MemoryCall } from '../../../memory-transport.ts';
import { responsesServer } from '../../../responses-world.ts';

const STEP_MS = 10;

async function infill(say: string, body: object) {
  const server = await responsesServer({
    say: () => say,
    engine: { tokensPerStep: 1, stepMs: STEP_MS, cachedTokens: 3 },
  });
  const call = await server.request('POST', '/infill', {
    input_prefix: 'ab',
    input_suffix: 'cd',
    n_predict: 2000,
    ...body,
  });
  return { call, submitted: server.server.submitted };
}

function contentOf({ json }: MemoryCall): string {
  return (json as { content: string }).content;
}

describe('t_max_predict_ms', () => {
  const lines = 'one\ntwo\nthree\nfour\n';

  test('ends an answer at the first new line after it, from the first token on', async () => {
    // The first token is drawn at 0 ms of it, the new lines at 30, 70 and 130 ms.
    const { call } = await infill(lines, { t_max_predict_ms: 40 });
    expect(call.json).toMatchObject({ content: 'one\ntwo\n', stop_type: 'limit', has_new_line: true });
    expect(contentOf((await infill(lines, { t_max_predict_ms: 70 })).call)).toBe('one\ntwo\nthree\n');
    expect(contentOf((await infill(lines, { t_max_predict_ms: 69 })).call)).toBe('one\ntwo\n');
  });

  test('is off at 0, and cannot stop a line in its middle', async () => {
    expect(contentOf((await infill(lines, { t_max_predict_ms: 0 })).call)).toBe(lines);
    expect((await infill('one long line', { t_max_predict_ms: 1 })).call.json).toMatchObject({
      content: 'one long line',
      stop_type: 'eos',
    });
  });

  test('holds in a stream, too, whose last object says so', async () => {
    const { call } = await infill(lines, { t_max_predict_ms: 1, stream: true });
    const events = call.events as Record<string, unknown>[];
    expect(events.map(({ content }) => content).join('')).toBe('one\n');
    expect(events.at(-1)).toMatchObject({ stop: true, stop_type: 'limit', tokens_predicted: 4 });
  });
});

describe('n_indent', () => {
  test('ends an answer where a line stands further left, and keeps what stood before', async () => {
    const say = 'a(\n    b,\n    c)\n  }\n';
    const { call } = await infill(say, { n_indent: 4 });
    expect(call.json).toMatchObject({ content: 'a(\n    b,\n    c)\n  ', stop_type: 'limit' });
    expect(contentOf((await infill(say, { n_indent: 2 })).call)).toBe(say);
  });

  test('finds the line wherever tokens cut the text', () => {
    const text = 'a\n\t\tb\n\tc\nd';
    const whole = text.slice(0, text.indexOf('c'));
    for (let size = 1; size <= text.length; size++) {
      const limits = new LineLimits({ predictMsMax: 0, indentMin: 2 }, new VirtualClock());
      let shown = '';
      for (let at = 0; at < text.length; at += size) {
        const pushed = limits.push(text.slice(at, at + size));
        shown += pushed.shown;
        if (pushed.ends) break;
      }
      expect([size, shown]).toEqual([size, whole]);
    }
  });
});

test('n_cmpl answers with a list, each with its own facts', async () => {
  const { call } = await infill('x', { n_cmpl: 3, seed: 1 });
  const answers = call.json as Record<string, unknown>[];
  expect(answers.map(({ index, content, tokens_predicted }) => [index, content, tokens_predicted])).toEqual([
    [0, 'x', 2],
    [1, 'x', 2],
    [2, 'x', 2],
  ]);
  const many = await infill('x', { n_cmpl: 9999 });
  expect([many.call.status, many.call.json]).toMatchObject([400, { error: { param: 'n_cmpl' } }]);
});

test('timings are in milliseconds, with their rates', async () => {
  const { call } = await infill('12345', {}); // and the token that ends it
  expect(call.json).toMatchObject({
    n_ctx: 4096,
    truncated: false,
    tokens_evaluated: 7,
    tokens_cached: 3,
    timings: {
      cache_n: 3,
      prompt_n: 4,
      prompt_ms: 0, // this engine's first step counts as its queue
      prompt_per_token_ms: 0,
      prompt_per_second: 0,
      predicted_n: 6,
      predicted_ms: 5 * STEP_MS,
      predicted_per_token_ms: STEP_MS,
      predicted_per_second: 1000 / STEP_MS,
    },
  });
});

test('the time in the queue is not the prompt’s', () => {
  const clock = new VirtualClock();
  const times = new AnswerTimes(clock);
  for (const atMs of [70, 90, 130]) {
    clock.schedule(atMs, () => times.onDelta(0, { tokens: [1] }));
  }
  clock.run();
  times.onDelta(0, { tokens: [] });
  times.onEnd(0, { queueMs: 50 });
  times.onEnd(1, { queueMs: 100 });
  expect(times.of(0)).toEqual({ promptMs: 20, predictedMs: 60, totalMs: 130 });
  expect(times.of(1)).toEqual({ promptMs: 30, predictedMs: 0, totalMs: 130 }); // no token at all
});

test('a warm-up with n_predict 0 has finite numbers', async () => {
  const { call } = await infill('x', { n_predict: 0, t_max_predict_ms: 1, samplers: [] });
  expect(call.json).toMatchObject({
    content: '',
    stop_type: 'limit',
    timings: { predicted_n: 0, predicted_ms: 0, predicted_per_second: 0 },
  });
});

test('samplers that are not listed are off, and the answer says which are on', async () => {
  const body = { top_k: 40, top_p: 0.9, min_p: 0.1, repeat_penalty: 1.1 };
  const all = await infill('x', body);
  const { call, submitted } = await infill('x', { ...body, samplers: ['top_p', 'top_k', 'infill'] });
  expect(all.submitted[0]!.sampling).toMatchObject({
    topK: 40,
    topP: 0.9,
    minP: 0.1,
    repetitionPenalty: 1.1,
  });
  expect(submitted[0]!.sampling).toMatchObject({ topK: 40, topP: 0.9, minP: 0, repetitionPenalty: 1 });
  const { generation_settings: settings } = call.json as { generation_settings: object };
  expect(settings).toMatchObject({
    n_ctx: 4096,
    n_predict: 2000,
    samplers: ['temperature', 'top_k', 'top_p'],
  });
});

test('what had to be left out of the prompt is told', async () => {
  const input_extra = [{ filename: 'a.ts', text: 'x'.repeat(5000) }];
  expect((await infill('x', { input_extra })).call.json).toMatchObject({ truncated: true });
});

test('n_predict bounds the other completions, too', async () => {
  const server = await responsesServer({ say: () => 'abcdefgh' });
  const asks = [
    ['/v1/completions', { prompt: 'a', n_predict: 3 }],
    ['/v1/fim/completions', { prompt: 'a', n_predict: 3 }],
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }], n_predict: 3 }],
    ['/v1/completions', { prompt: 'a', n_predict: -1 }],
  ] as const;
  for (const [path, body] of asks) await server.request('POST', path, body);
  const [first, second, third, unbounded] = server.server.submitted;
  expect([first, second, third].map((request) => request!.maxTokens)).toEqual([3, 3, 3]);
  expect(unbounded!.maxTokens).toBe(4096 - unbounded!.tokens.length);
});

describe('POST /completion', () => {
  test('completes a text or ids in llama-server’s shape', async () => {
    const server = await responsesServer({ say: () => 'a\nb' });
    for (const prompt of ['Hi', [72, 105]]) {
      const call = await server.request('POST', '/completion', { prompt, n_predict: 3, t_max_predict_ms: 0 });
      expect([call.status, call.json]).toMatchObject([
        200,
        { content: 'a\nb', stop: true, stop_type: 'limit', tokens_predicted: 3, tokens_evaluated: 2 },
      ]);
    }
    expect(server.prompts).toEqual(['Hi', 'Hi']);
    const stream = await server.request('POST', '/completion', { prompt: 'Hi', stream: true });
    const events = stream.events as Record<string, unknown>[];
    expect(events.map(({ content }) => content).join('')).toBe('a\nb');
    expect(events.at(-1)).toMatchObject({ stop: true, stop_type: 'eos', timings: { predicted_n: 4 } });
  });

  test('takes texts, ids, both in one sequence, objects, and lists of all of them', async () => {
    const server = await responsesServer({ say: () => 'x' });
    const prompts = [
      'Hi',
      [72, 105],
      [72, 'i'],
      { prompt_string: 'Hi' },
      ['Hi', [72, 105], ['H', 105], { prompt_string: 'Hi' }],
    ];
    const answers: unknown[] = [];
    for (const prompt of prompts)
      answers.push((await server.request('POST', '/completion', { prompt })).json);
    expect(server.prompts).toEqual(Array.from({ length: 8 }, () => 'Hi'));
    const one = { content: 'x', prompt: 'Hi', tokens: [] };
    expect(answers).toMatchObject([one, one, one, one, [0, 1, 2, 3].map((index) => ({ ...one, index }))]);
    expect((await server.request('POST', '/completion', { prompt: ['Hi'] })).json).toMatchObject([one]);
  });

  test('tells the tokens and only the fields that were asked for', async () => {
    const server = await responsesServer({ say: () => 'x' });
    const response_fields = ['content', 'generation_settings/n_predict', 'tokens', 'nothing', 'content/x'];
    const ask = { prompt: 'Hi', n_predict: 8, return_tokens: true, response_fields };
    const expected = { content: 'x', 'generation_settings/n_predict': 8, tokens: [120, BYTE_EOS] };
    expect((await server.request('POST', '/completion', ask)).json).toEqual(expected);
  });

  test('takes every way to write logit_bias', async () => {
    const server = await responsesServer({ say: () => 'x' });
    const ways = [{ 72: -5 }, [[72, -5]], { Hi: 3 }, [['Hi', 3]], [['72', 2]], [[72, false]]];
    for (const logit_bias of ways) await server.request('POST', '/completion', { prompt: 'Hi', logit_bias });
    const told = server.server.submitted.map(({ sampling }) => Object.fromEntries(sampling.logitBias!));
    const both = { 72: 3, 105: 3 };
    expect(told).toEqual([{ 72: -5 }, { 72: -5 }, both, both, { 50: 2, 55: 2 }, { 72: -1e9 }]);
  });

  test('tells the biases that it drew with: null is never', async () => {
    const server = await responsesServer({ say: () => 'x' });
    const biases = async (body: object) => {
      const call = await server.request('POST', '/completion', { prompt: 'Hi', n_predict: 1, ...body });
      return (call.json as { generation_settings: { logit_bias: unknown } }).generation_settings.logit_bias;
    };
    expect(await biases({})).toEqual([]);
    const logit_bias = [[72, -5], [73, false]]; // biome-ignore format: pairs
    const asked = [{ token: 72, bias: -5 }, { token: 73, bias: null }]; // biome-ignore format: likewise
    expect(await biases({ logit_bias })).toEqual(asked);
    expect(await biases({ ignore_eos: true })).toEqual([{ token: BYTE_EOS, bias: null }]);
  });

  test('tells the likeliest tokens, whole and as a stream', async () => {
    const server = await responsesServer({ say: () => 'ab' });
    const ask = { prompt: 'Hi', n_probs: 2 };
    const probability = (id: number, token: string) => ({ id, token, logprob: -0.5, bytes: [id] });
    const expected = [
      {
        ...probability(97, 'a'),
        top_logprobs: [
          { id: 97, token: 'a' },
          { id: 98, token: 'b' },
        ],
      },
      { ...probability(98, 'b'), top_logprobs: [{ id: 98 }, { id: 99 }] },
    ];
    const whole = await server.request('POST', '/completion', ask);
    expect(whole.json).toMatchObject({ content: 'ab', completion_probabilities: expected });
    const stream = await server.request('POST', '/completion', { ...ask, stream: true });
    const told = (stream.events as Record<string, unknown>[]).flatMap(
      (event) => event['completion_probabilities'] ?? [],
    );
    expect(told).toMatchObject(expected);
  });

  test('draws a fresh seed for −1', async () => {
    const server = await responsesServer({ say: () => 'x' });
    await server.request('POST', '/completion', { prompt: 'Hi', seed: -1 });
    expect(server.server.submitted[0]!.sampling.seed).toBeGreaterThanOrEqual(0);
  });

  test('holds a schema, and refuses by name what it cannot do', async () => {
    const server = await responsesServer({ say: () => '{"a": 1}' });
    const json_schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] };
    await server.request('POST', '/completion', { prompt: 'Hi', json_schema });
    await server.request('POST', '/completion', { prompt: 'Hi', grammar: 'root ::= "a"' });
    for (const { constraint } of server.server.submitted) expect(constraint).not.toBeNull();
    const refusals = [
      ['grammar', { grammar: 'root ::= "a' }],
      ['json_schema', { json_schema, grammar: 'root ::= "a"' }],
      ['n_probs', { n_probs: 99 }],
      ['mirostat', { mirostat: 2 }],
      ['xtc_probability', { xtc_probability: 0.5 }],
      ['json_schema', { json_schema: { $ref: '#/nowhere' } }],
      ['prompt', { prompt: [1e6] }],
      ['prompt', { prompt: ['a', 1e6] }],
      ['prompt.multimodal_data', { prompt: { prompt_string: 'a', multimodal_data: ['iVBO'] } }],
      ['logit_bias.1000000', { logit_bias: [[1e6, 1]] }],
      ['post_sampling_probs', { post_sampling_probs: true, n_probs: 2 }],
    ] as const;
    for (const [param, more] of refusals) {
      const call = await server.request('POST', '/completion', { prompt: 'Hi', ...more });
      expect([call.status, call.json]).toMatchObject([400, { error: { param } }]);
    }
  });
});
