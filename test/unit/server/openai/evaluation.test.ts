// What evaluation harnesses and vLLM's users ask for beside the prompt: log-probabilities of its own tokens, its end alone,
// which tokens may be said and which end an answer.
import { describe, expect, test } from 'vitest';
import { maskAllows } from '../../../../kernels/backend.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { type Json, responsesServer } from '../../../responses-world.ts';

const messages = [{ role: 'user', content: 'Hi' }];

async function world(say = (prompt: string) => prompt.toUpperCase()) {
  const server = await responsesServer({ say, engine: { tokensPerStep: 1 } });
  const ask = async (body: object, path = '/v1/completions') => {
    const call = server.send('POST', path, body);
    await server.settle(server.clock.nowMs() + 1000);
    return call;
  };
  return { server, ask, submitted: server.server.submitted };
}

interface Logprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly (number | null)[];
  readonly top_logprobs: readonly (Json | null)[] | null;
  readonly text_offset: readonly number[];
}

interface Choice {
  readonly text: string;
  readonly logprobs: Logprobs | null;
  readonly finish_reason: string | null;
  readonly prompt_logprobs?: readonly (Json | null)[];
}

const choicesOf = (call: { readonly json: unknown }) => (call.json as { choices: readonly Choice[] }).choices;

describe('echo with log-probabilities', () => {
  test('a prompt alone: one for each token, none for the first', async () => {
    const { ask, submitted } = await world();
    const call = await ask({ prompt: 'abc', max_tokens: 0, echo: true, logprobs: 1 });
    expect(choicesOf(call)).toEqual([
      {
        text: 'abc',
        index: 0,
        finish_reason: 'length',
        logprobs: {
          tokens: ['a', 'b', 'c'],
          token_logprobs: [null, -0.5, -0.5],
          top_logprobs: [null, { b: -0.5 }, { c: -0.5 }],
          text_offset: [0, 1, 2],
        },
        prompt_logprobs: null,
      },
    ]);
    expect(submitted[0]).toMatchObject({ maxTokens: 0, promptLogprobs: 1 });
  });

  test('a harness that cuts off the last one cuts off what was drawn, the end of the answer included', async () => {
    const { ask } = await world(() => '');
    const [choice] = choicesOf(await ask({ prompt: 'ab', max_tokens: 1, echo: true, logprobs: 1 }));
    expect(choice!.text).toBe('ab');
    expect(choice!.logprobs!.tokens).toEqual(['a', 'b', `<|${BYTE_EOS}|>`]);
  });

  test('token ids, batches of both kinds and streams', async () => {
    const { ask } = await world();
    const fields = { max_tokens: 1, echo: true, logprobs: 0 };
    const batch = choicesOf(await ask({ prompt: [[97, 98], [99]], ...fields }));
    expect(batch.map(({ text, logprobs }) => [text, logprobs!.token_logprobs.length])).toEqual([
      ['abA', 3],
      ['cC', 2],
    ]);
    const stream = await ask({ prompt: ['ab', 'c'], stream: true, ...fields });
    const said = ['', ''];
    const offsets: number[][] = [[], []];
    for (const event of stream.events as readonly { choices: readonly (Choice & { index: number })[] }[]) {
      for (const { index, text, logprobs } of event.choices ?? []) {
        said[index] += text;
        offsets[index]!.push(...(logprobs?.text_offset ?? []));
      }
    }
    expect([said, offsets]).toEqual([
      ['abA', 'cC'],
      [
        [0, 1, 2],
        [0, 1],
      ],
    ]);
  });
});

describe('prompt_logprobs', () => {
  const judged = [null, { 105: { logprob: -0.5, rank: 1, decoded_token: 'i' } }];

  test('of a completion stand in its choice', async () => {
    const { ask } = await world();
    const [choice] = choicesOf(await ask({ prompt: 'hi', max_tokens: 1, prompt_logprobs: 1 }));
    expect(choice).toMatchObject({ text: 'H', logprobs: null, prompt_logprobs: judged });
  });

  test('of a chat stand beside the choices', async () => {
    const { ask, submitted } = await world();
    const call = await ask({ messages, max_tokens: 1, prompt_logprobs: 0 }, '/v1/chat/completions');
    const known = (call.json as { prompt_logprobs: readonly unknown[] }).prompt_logprobs;
    expect(known).toHaveLength(submitted[0]!.tokens.length);
    expect(known[0]).toBeNull();
  });

  test('are refused in a stream', async () => {
    const { ask } = await world();
    for (const path of ['/v1/completions', '/v1/chat/completions']) {
      const call = await ask({ prompt: 'a', messages, prompt_logprobs: 1, stream: true }, path);
      expect([call.status, call.json]).toMatchObject([400, { error: { param: 'prompt_logprobs' } }]);
    }
  });
});

describe('truncate_prompt_tokens', () => {
  test('keeps the end of a prompt, also of one that no context would hold', async () => {
    const { ask, submitted } = await world();
    const call = await ask({ prompt: `${'x'.repeat(100_000)}abc`, truncate_prompt_tokens: 3, echo: true });
    expect(choicesOf(call)[0]!.text).toBe('abcABC');
    await ask({ prompt: 'x'.repeat(5000), truncate_prompt_tokens: -1, max_tokens: 10 });
    await ask({ prompt: 'ab', truncate_prompt_tokens: 3 });
    await ask({ messages, truncate_prompt_tokens: 5 }, '/v1/chat/completions');
    expect(submitted.map(({ tokens }) => tokens.length)).toEqual([3, 4086, 2, 5]);
  });

  test.each([0, 4097, -2])('%i is refused', async (truncate_prompt_tokens) => {
    const { ask } = await world();
    const call = await ask({ prompt: 'a', truncate_prompt_tokens });
    expect([call.status, call.json]).toMatchObject([400, { error: { param: 'truncate_prompt_tokens' } }]);
  });
});

describe('which tokens', () => {
  test('stop_token_ids end an answer without being part of it, also where the model’s own do not', async () => {
    const { ask } = await world();
    const at = [...encodeBytes('C')];
    const [stopped] = choicesOf(await ask({ prompt: 'abcd', stop_token_ids: at }));
    expect(stopped).toMatchObject({ text: 'AB', finish_reason: 'stop' });
    const shown = await ask({ prompt: 'abcd', stop_token_ids: at, include_stop_str_in_output: true });
    expect(choicesOf(shown)[0]).toMatchObject({ text: 'ABC', finish_reason: 'stop' });
    const alone = await ask({ prompt: 'abcd', stop_token_ids: at, ignore_eos: true });
    expect(choicesOf(alone)[0]).toMatchObject({ text: 'AB', finish_reason: 'stop' });
  });

  test('include_stop_str_in_output leaves the stop string, and what came after it, where they are', async () => {
    const { ask } = await world();
    for (const stream of [false, true]) {
      const call = await ask(
        {
          ...{ messages: [{ role: 'user', content: 'x END y' }], stop: ['END'], stream },
          include_stop_str_in_output: true,
        },
        '/v1/chat/completions',
      );
      expect(call.text.includes('END') && !call.text.includes(' Y')).toBe(true);
    }
  });

  test('allowed_token_ids and bad_words hold together with a form', async () => {
    const { ask, submitted } = await world();
    const [a, b, c] = encodeBytes('abc') as unknown as [number, number, number];
    await ask({ prompt: 'x', allowed_token_ids: [a, b], bad_words: ['ab'], guided_regex: '[abc]{3}' });
    const constraint = submitted[0]!.constraint!;
    const allowed = () => [a, b, c].filter((id) => maskAllows(constraint.mask()!, id));
    expect(allowed()).toEqual([a, b]);
    constraint.accept(a);
    expect(allowed()).toEqual([a]); // "ab" is banned, "ac" is not allowed
  });

  test('are held of a chat and of every other route that takes them', async () => {
    for (const path of ['/v1/chat/completions', '/completion', '/infill', '/v1/fim/completions']) {
      const { ask, submitted } = await world();
      await ask({ messages, prompt: 'x', input_prefix: 'x', input_suffix: '', bad_words: ['a'] }, path);
      const mask = submitted[0]!.constraint!.mask()!;
      expect([path, maskAllows(mask, 97), maskAllows(mask, 98)]).toEqual([path, false, true]);
    }
  });

  test.each<[Json, string]>([
    [{ stop_token_ids: [260] }, 'stop_token_ids[0]'],
    [{ allowed_token_ids: [260] }, 'allowed_token_ids[0]'],
    [{ allowed_token_ids: [] }, 'allowed_token_ids'],
    [{ bad_words: [''] }, 'bad_words[0]'],
    [{ bad_words: ['x'.repeat(9000)] }, 'bad_words'],
  ])('%j is refused', async (fields, param) => {
    const { ask } = await world();
    const call = await ask({ prompt: 'a', ...fields });
    expect([call.status, call.json]).toMatchObject([400, { error: { param } }]);
  });

  test.each<[Json, string]>([
    [{ use_beam_search: true }, 'use_beam_search'],
    [{ length_penalty: 2 }, 'length_penalty'],
    [{ mirostat: 1 }, 'mirostat'],
    [{ dry_multiplier: 0.8 }, 'dry_multiplier'],
    [{ chat_template: '{{ x }}' }, 'chat_template'],
    [{ documents: [{ text: 'x' }] }, 'documents'],
    [{ echo: true }, 'echo'],
    [{ include_reasoning: false }, 'include_reasoning'],
    [{ web_search_options: {} }, 'web_search_options'],
  ])(
    '%j of a chat, which would change the answer, is refused by name, unless it asks for nothing',
    async (fields, param) => {
      const { ask } = await world();
      const call = await ask({ messages, ...fields }, '/v1/chat/completions');
      expect([call.status, call.json]).toMatchObject([400, { error: { param } }]);
      const idle = { use_beam_search: false, length_penalty: 1, mirostat: 0, dry_multiplier: 0, echo: false };
      const taken = await ask(
        { messages, ...idle, include_reasoning: true, documents: null, web_search_options: null },
        '/v1/chat/completions',
      );
      expect(taken.status).toBe(200);
    },
  );

  test('repeat_penalty is llama-server’s name for the repetition penalty', async () => {
    const { ask, submitted } = await world();
    await ask({ prompt: 'a', repeat_penalty: 1.3 });
    expect(submitted[0]!.sampling.repetitionPenalty).toBe(1.3);
  });

  test('a route without a way to show them refuses a prompt’s log-probabilities by name', async () => {
    const { ask } = await world();
    const call = await ask({ input: 'a', prompt_logprobs: 1 }, '/v1/responses');
    expect([call.status, call.json]).toMatchObject([400, { error: { param: 'prompt_logprobs' } }]);
  });
});

test('continuous_usage_stats counts on from chunk to chunk, for each choice', async () => {
  for (const [path, prompt] of [
    ['/v1/completions', 2],
    ['/v1/chat/completions', null],
  ] as const) {
    const { ask, submitted } = await world(() => 'XYZ');
    const stream_options = { include_usage: true, continuous_usage_stats: true };
    const call = await ask({ prompt: 'ab', messages, max_tokens: 3, stream: true, stream_options }, path);
    const events = call.events.filter((event) => event !== '[DONE]') as readonly { usage: Json }[];
    const counts = events.map(({ usage }) => usage['completion_tokens']);
    expect(counts.slice(-5)).toEqual([1, 2, 3, 3, 3]); // the answer, its end, and the whole request's
    for (const { usage } of events)
      expect(usage['prompt_tokens']).toBe(prompt ?? submitted[0]!.tokens.length);
  }
});

describe('vLLM’s other ways', () => {
  test('truncation_side: right keeps the beginning of a prompt', async () => {
    const { ask, submitted } = await world();
    for (const truncation_side of ['left', 'right'])
      await ask({ prompt: 'abcdef', truncate_prompt_tokens: 2, truncation_side });
    expect(submitted.map(({ tokens }) => [...tokens])).toEqual([
      [...encodeBytes('ef')],
      [...encodeBytes('ab')],
    ]);
  });

  test('return_tokens_as_token_ids names tokens by their ids, whole and in a stream, in chat too', async () => {
    const { ask } = await world(() => 'z');
    const more = { max_tokens: 1, return_tokens_as_token_ids: true };
    const name = 'token_id:122';
    const [choice] = choicesOf(await ask({ prompt: 'a', logprobs: 1, ...more }));
    expect(choice!.logprobs).toMatchObject({ tokens: [name], top_logprobs: [{ [name]: -0.5 }] });
    const chat = await ask({ messages, logprobs: true, top_logprobs: 1, ...more }, '/v1/chat/completions');
    expect(choicesOf(chat)[0]!.logprobs).toMatchObject({
      content: [{ token: name, top_logprobs: [{ token: name }, { token: 'token_id:123' }] }],
    });
    const stream = await ask({ prompt: 'a', logprobs: 1, stream: true, ...more });
    const told = (stream.events as { choices: readonly Choice[] }[]).flatMap(
      (event) => event.choices?.[0]?.logprobs?.tokens ?? [],
    );
    expect(told).toEqual([name]);
  });

  test('cache_salt keeps prompts apart', async () => {
    const { ask, submitted } = await world();
    for (const cache_salt of [null, 'a', 'b', 'a']) await ask({ prompt: 'x', cache_salt });
    const [none, a, b, again] = submitted.map(({ cacheSalt }) => cacheSalt);
    expect(again).toBe(a);
    expect(new Set([none, a, b]).size).toBe(3);
    expect((await ask({ prompt: 'x', cache_salt: '' })).status).toBe(400);
  });

  test('stream_options without include_usage ask for no usage', async () => {
    const { ask } = await world(() => 'z');
    const usages = async (stream_options: object | null) =>
      ((await ask({ prompt: 'a', stream: true, stream_options })).events as Json[]).flatMap(
        (event) => event['usage'] ?? [],
      ).length;
    expect([await usages(null), await usages({}), await usages({ include_usage: true })]).toEqual([1, 0, 1]);
  });

  test.each([
    { logprob_token_ids: [42] },
    { thinking_token_budget: 10 },
    { return_prompt_text: true },
    { prompt_embeds: 'AAAA' },
    { repetition_detection: { max_pattern_size: 3 } },
  ])('%j is refused by name, and an idle value is not', async (more) => {
    const { ask } = await world();
    const [[param]] = Object.entries(more) as [[string, unknown]];
    expect([(await ask({ prompt: 'a', ...more })).json]).toMatchObject([{ error: { param } }]);
    expect((await ask({ prompt: 'a', [param]: null })).status).toBe(200);
  });
});
