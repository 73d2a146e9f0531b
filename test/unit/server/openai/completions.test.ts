import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { type HttpWorldOptions, httpServer, wholeByteModel } from '../../../http-world.ts';
import { type MemoryCall, MemoryTransport } from '../../../memory-transport.ts';

async function world(options: Omit<HttpWorldOptions, 'clock'> = {}) {
  const clock = new VirtualClock();
  const server = httpServer({ clock, ...options });
  const transport = new MemoryTransport({ clock });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  const post = (path: string, body: object): MemoryCall => {
    const call = transport.call({ method: 'POST', path, body });
    clock.run();
    return call;
  };
  return { ...server, post, ask: (body: object) => post('/v1/completions', body) };
}

interface Completion {
  readonly choices: readonly { readonly text: string; readonly index: number; readonly logprobs: unknown }[];
  readonly usage: Record<string, unknown>;
}

function texts(call: MemoryCall): readonly string[] {
  return (call.json as Completion).choices.map(({ text }) => text);
}

/** Text per choice, put together from the chunks of a stream. */
function streamedTexts(call: MemoryCall): readonly string[] {
  const texts: string[] = [];
  for (const event of call.events) {
    if (event === '[DONE]') continue;
    for (const { text, index } of (event as Completion).choices) texts[index] = (texts[index] ?? '') + text;
  }
  return texts;
}

describe('prompts', () => {
  test('a text gives OpenAI’s shape, 16 tokens unless said otherwise', async () => {
    const { ask } = await world();
    expect(ask({ prompt: 'abcdefghijklmnopqrstuvwxyz' }).json).toEqual({
      id: 'cmpl-2',
      object: 'text_completion',
      created: 1_795_176_000,
      model: 'bytes',
      system_fingerprint: expect.any(String),
      choices: [
        {
          ...{ text: 'ABCDEFGHIJKLMNOP', index: 0, logprobs: null, finish_reason: 'length' },
          prompt_logprobs: null, // vLLM's
        },
      ],
      usage: {
        prompt_tokens: 26,
        completion_tokens: 16,
        total_tokens: 42,
        prompt_tokens_details: { cached_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
    });
  });

  test('token ids are taken as they are', async () => {
    const { ask, submitted } = await world();
    expect(texts(ask({ prompt: [104, 105] }))).toEqual(['HI']);
    expect([...submitted[0]!.tokens]).toEqual([104, 105]);
  });

  test('a batch of either answers every prompt, in order, n times', async () => {
    const { ask } = await world();
    expect(texts(ask({ prompt: ['a', 'b'], n: 2 }))).toEqual(['A', 'A', 'B', 'B']);
    expect(texts(ask({ prompt: [[97], [98, 99]] }))).toEqual(['A', 'BC']);
    expect(streamedTexts(ask({ prompt: ['a', 'bc'], n: 2, stream: true }))).toEqual(['A', 'A', 'BC', 'BC']);
    expect((ask({ prompt: ['a', 'bc'], n: 2 }).json as Completion).usage).toMatchObject({
      prompt_tokens: 3,
      completion_tokens: 10,
    });
  });

  test('a bare text begins as the model’s texts do, an empty one with what ends a text', async () => {
    const startIds = [258];
    const model = { ...wholeByteModel, tokenizer: { ...wholeByteModel.tokenizer, startIds } };
    const started = await world({ app: { model } });
    started.ask({ prompt: 'a' });
    expect([...started.submitted[0]!.tokens]).toEqual([258, 97]);
    const { ask, submitted } = await world();
    ask({ prompt: '' });
    expect([...submitted[0]!.tokens]).toEqual([BYTE_EOS]);
  });

  test('a suffix asks for the middle, with the model’s own tokens', async () => {
    const { ask, submitted } = await world();
    expect(ask({ prompt: 'a', suffix: 'z' }).status).toBe(200);
    expect([...submitted[0]!.tokens]).toEqual([257, 97, 258, 122, 259]);
    const without = await world({ app: { model: { ...wholeByteModel, fim: null } } });
    const call = without.ask({ prompt: 'a', suffix: 'z' });
    expect([call.status, call.json]).toMatchObject([
      400,
      { error: { code: 'unsupported', param: 'suffix' } },
    ]);
    expect(without.ask({ prompt: 'a', suffix: '' }).status).toBe(200);
  });

  test.each([
    [{}, 'prompt'],
    [{ prompt: [] }, 'prompt'],
    [{ prompt: [[]] }, 'prompt[0]'],
    [{ prompt: [1, 'a'] }, 'prompt[1]'],
    [{ prompt: [260] }, 'prompt'],
    [{ prompt: new Array(65).fill('a') }, 'prompt'],
    [{ prompt: 'a', best_of: 2 }, 'best_of'],
    [{ prompt: 'a', logprobs: 6 }, 'logprobs'],
    [{ prompt: 'a', suffix: 'b', echo: true }, 'echo'],
  ])('%j is refused, naming %s', async (body, param) => {
    const { ask } = await world();
    const call = ask(body);
    expect([call.status, (call.json as { error: { param: string } }).error.param]).toEqual([400, param]);
  });

  test('an enormous text is refused before all of it is tokenised', async () => {
    let encodedLength = 0;
    const tokenizer = {
      ...wholeByteModel.tokenizer,
      encode: (text: string) => {
        encodedLength += text.length;
        return encodeBytes(text);
      },
    };
    const { ask } = await world({ app: { model: { ...wholeByteModel, tokenizer } } });
    const call = ask({ prompt: 'x'.repeat(1_000_000) });
    expect([call.status, call.json]).toMatchObject([400, { error: { code: 'context_length_exceeded' } }]);
    expect(encodedLength).toBeLessThan(50_000);
  });

  test('one bad prompt of a batch refuses the batch, and so does a full queue', async () => {
    const { ask, engine, submitted } = await world({ engine: { slotCount: 1, queueLengthMax: 1 } });
    expect(ask({ prompt: [[97], [999]] }).status).toBe(400);
    expect(submitted).toHaveLength(0);
    expect([ask({ prompt: ['a', 'b', 'c'] }).status, engine.activeCount]).toEqual([429, 0]);
  });
});

describe('echo and logprobs', () => {
  test('echo puts the prompt before the answer, whole and as a stream', async () => {
    const { ask } = await world();
    expect(texts(ask({ prompt: 'ab', echo: true }))).toEqual(['abAB']);
    expect(streamedTexts(ask({ prompt: ['ab', 'c'], echo: true, stream: true }))).toEqual(['abAB', 'cC']);
    expect(texts(ask({ prompt: 'ab', echo: true, max_tokens: 0 }))).toEqual(['ab']);
  });

  test('logprobs have OpenAI’s older shape', async () => {
    const { ask } = await world();
    const { choices } = ask({ prompt: 'a', logprobs: 1 }).json as Completion;
    expect(choices[0]!.logprobs).toEqual({
      tokens: ['A'],
      token_logprobs: [-0.5],
      top_logprobs: [{ A: -0.5, B: -1.5 }],
      text_offset: [0],
    });
  });

  test('offsets count characters, and parts of characters have texts of their own', async () => {
    const { ask } = await world({
      engine: {
        script: () => ({
          tokens: [...encodeBytes('é!')],
          logprobs: (token) => ({ logprob: -1, topTokens: [token], topLogprobs: [-1] }),
        }),
      },
    });
    const logprobs = {
      tokens: ['bytes:\\xc3', 'bytes:\\xa9', '!'],
      text_offset: [0, 1, 1],
      top_logprobs: [{ 'bytes:\\xc3': -1 }, { 'bytes:\\xa9': -1 }, { '!': -1 }],
    };
    expect((ask({ prompt: 'a', logprobs: 0 }).json as Completion).choices[0]!.logprobs).toMatchObject(
      logprobs,
    );
    const chunks = ask({ prompt: 'a', logprobs: 0, stream: true }).events as Completion[];
    const offsets = chunks
      .slice(0, 3)
      .map(({ choices }) => (choices[0]!.logprobs as typeof logprobs).text_offset);
    expect(offsets).toEqual([[0], [1], [1]]);
  });

  test('token ids of prompt and answer come on request', async () => {
    const { ask } = await world();
    expect(ask({ prompt: 'a', return_token_ids: true }).json).toMatchObject({
      choices: [{ token_ids: [65, BYTE_EOS], prompt_token_ids: [97] }],
    });
    const events = ask({ prompt: 'a', return_token_ids: true, stream: true }).events as Completion[];
    expect(events.slice(0, 3).map(({ choices }) => choices[0])).toMatchObject([
      { text: '', prompt_token_ids: [97], token_ids: [] },
      { text: 'A', token_ids: [65] },
      { text: '', token_ids: [BYTE_EOS] },
    ]);
  });
});

describe('tokenize and detokenize', () => {
  test('speak llama-server’s and vLLM’s words', async () => {
    const { post } = await world();
    const whole = { tokens: [104, 105], count: 2, max_model_len: 4096, token_strs: null };
    expect(post('/tokenize', { content: 'hi' }).json).toEqual(whole);
    expect(post('/tokenize', { prompt: 'hi', model: 'bytes' }).json).toEqual(whole);
    expect(post('/tokenize', { content: 'é', with_pieces: true }).json).toMatchObject({
      tokens: [
        { id: 0xc3, piece: [0xc3] },
        { id: 0xa9, piece: [0xa9] },
      ],
    });
    expect(post('/tokenize', { prompt: 'hi', return_token_strs: true }).json).toEqual({
      ...whole,
      token_strs: ['h', 'i'],
    });
    expect(post('/tokenize', { messages: [{ role: 'user', content: 'hi' }] }).json).toMatchObject({
      count: 21,
    });
    expect(post('/detokenize', { tokens: [104, 105, BYTE_EOS] }).json).toEqual({
      content: 'hi<|end|>',
      prompt: 'hi<|end|>',
    });
  });

  test('a start token is added as either server would', async () => {
    const model = { ...wholeByteModel, tokenizer: { ...wholeByteModel.tokenizer, startIds: [258] } };
    const { post } = await world({ app: { model } });
    const count = (body: object) => (post('/tokenize', body).json as { count: number }).count;
    expect([count({ content: 'a' }), count({ content: 'a', add_special: true })]).toEqual([1, 2]);
    expect([count({ prompt: 'a' }), count({ prompt: 'a', add_special_tokens: false })]).toEqual([2, 1]);
  });

  test('bad input is refused by name', async () => {
    const { post } = await world();
    expect(post('/tokenize', {}).status).toBe(400);
    expect(post('/detokenize', { tokens: [1, 260] }).json).toMatchObject({ error: { param: 'tokens[1]' } });
    expect(post('/detokenize', { tokens: [-1] }).json).toMatchObject({ error: { param: 'tokens[0]' } });
    expect(post('/detokenize', { tokens: [1, '2'] }).json).toMatchObject({ error: { param: 'tokens[1]' } });
  });

  test('more than may be taken at once is refused by the name of the bound', async () => {
    const { post } = await world({ flags: { tokenizeSizeMax: 1024 } });
    for (const [path, body, param, bound] of [
      ['/tokenize', { content: 'a'.repeat(1025) }, 'content', 1024],
      ['/tokenize', { prompt: 'a'.repeat(1025) }, 'prompt', 1024],
      ['/detokenize', { tokens: Array(129).fill(97) }, 'tokens', 128], // each is up to 8 characters
    ] as const) {
      expect(post(path, body).json).toMatchObject({
        error: { param, message: expect.stringMatching(new RegExp(`${bound} are taken.*--tokenize-size`)) },
      });
    }
    expect((post('/tokenize', { content: 'a'.repeat(1024) }).json as { count: number }).count).toBe(1024);
  });
});

describe('models', () => {
  test('the one model is listed and found by its id', async () => {
    const { app } = await world();
    const clock = new VirtualClock();
    const transport = new MemoryTransport({ clock });
    await transport.listen('127.0.0.1', 0, app.handlers);
    const get = (path: string) => {
      const call = transport.call({ path });
      clock.run();
      return call;
    };
    const model = {
      id: 'bytes',
      object: 'model',
      created: 1_795_176_000,
      owned_by: 'sparklane',
      max_model_len: 4096,
      context_length: 4096,
      meta: { n_ctx: 4096, n_ctx_train: 4096, n_vocab: 260 },
      capabilities: ['completion', 'tools', 'insert'],
    };
    expect(get('/v1/models').json).toEqual({ object: 'list', data: [model] });
    expect(get('/v1/models/byt%65s').json).toEqual(model);
    expect([get('/v1/models/gpt-5').status, get('/v1/models/%').status]).toEqual([404, 404]);
    // A model of the hub has a slash in its name.
    expect(get('/v1/models/acme/m').json).toMatchObject({ error: { code: 'model_not_found' } });
  });
});
