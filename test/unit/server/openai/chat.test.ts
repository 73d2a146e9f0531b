import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { byteLogprobs, type HttpWorldOptions, httpServer, wholeByteModel } from '../../../http-world.ts';
import { type MemoryCall, MemoryTransport } from '../../../memory-transport.ts';

async function world(options: Omit<HttpWorldOptions, 'clock'> = {}) {
  const clock = new VirtualClock();
  const server = httpServer({ clock, ...options });
  const transport = new MemoryTransport({ clock, kernelSizeMax: 100 });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  const send = (body: object) => transport.call({ method: 'POST', path: '/v1/chat/completions', body });
  const ask = (body: object): MemoryCall => {
    const call = send({ messages: [{ role: 'user', content: 'hi' }], ...body });
    clock.run();
    return call;
  };
  return { ...server, clock, transport, send, ask };
}

function says(text: string): Partial<HttpWorldOptions['engine'] & {}> {
  return { script: () => ({ tokens: [...encodeBytes(text), BYTE_EOS], logprobs: byteLogprobs }) };
}

const PROMPT = 'user: hi<|end|>\nassistant: '; // 20 bytes around one end token

describe('whole answers', () => {
  test('have OpenAI’s shape', async () => {
    const { ask } = await world({ engine: { ...says('Hello'), cachedTokens: 16 } });
    const call = ask({ model: 'bytes' });
    expect(call.status).toBe(200);
    expect(call.json).toEqual({
      id: 'chatcmpl-2',
      object: 'chat.completion',
      created: 1_795_176_000,
      model: 'bytes',
      system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{12}$/),
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 21,
        completion_tokens: 6,
        total_tokens: 27,
        prompt_tokens_details: { cached_tokens: 16 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
    });
  });

  test('n choices come in order, the prompt counts once', async () => {
    const { ask } = await world({ engine: says('ok') });
    const { choices, usage } = ask({ n: 3 }).json as { choices: { index: number }[]; usage: object };
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(usage).toMatchObject({ prompt_tokens: 21, completion_tokens: 9, total_tokens: 30 });
  });

  test('max_completion_tokens goes before max_tokens, and both end with length', async () => {
    const { ask } = await world({ engine: says('Hello') });
    const reply = (body: object) => (ask(body).json as { choices: object[] }).choices[0];
    expect(reply({ max_tokens: 2 })).toMatchObject({ message: { content: 'He' }, finish_reason: 'length' });
    expect(reply({ max_tokens: 2, max_completion_tokens: 3 })).toMatchObject({ message: { content: 'Hel' } });
  });

  test('logprobs are those of the text, token by token, without the end token', async () => {
    const { ask } = await world({ engine: says('A') });
    const { choices } = ask({ logprobs: true, top_logprobs: 1, return_token_ids: true }).json as {
      choices: object[];
    };
    expect(choices[0]).toMatchObject({
      logprobs: {
        content: [
          {
            token: 'A',
            logprob: -0.5,
            bytes: [65],
            top_logprobs: [
              { token: 'A', logprob: -0.5, bytes: [65] },
              { token: 'B', logprob: -1.5, bytes: [66] },
            ],
          },
        ],
        refusal: null,
      },
      token_ids: [65, BYTE_EOS],
    });
  });

  test('return_token_ids returns those of the prompt as well', async () => {
    const { ask, submitted } = await world({ engine: says('A') });
    expect(ask({ return_token_ids: true }).json).toMatchObject({
      prompt_token_ids: [...submitted[0]!.tokens],
    });
  });
});

describe('streams', () => {
  test('chunks have OpenAI’s shape; unasked, the last one carries the usage', async () => {
    const { ask } = await world({ engine: says('Hi') });
    const call = ask({ stream: true });
    const head = {
      id: 'chatcmpl-2',
      object: 'chat.completion.chunk',
      created: 1_795_176_000,
      model: 'bytes',
    };
    const chunk = (delta: object, finish: string | null) => ({
      ...head,
      system_fingerprint: expect.any(String),
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
    });
    expect(call.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(call.events).toEqual([
      chunk({ role: 'assistant', content: '' }, null),
      chunk({ content: 'H' }, null),
      chunk({ content: 'i' }, null),
      { ...chunk({}, 'stop'), usage: expect.objectContaining({ prompt_tokens: 21, completion_tokens: 3 }) },
      '[DONE]',
    ]);
  });

  test('include_usage sends it in a chunk of its own and null before; false sends none', async () => {
    const { ask } = await world({ engine: says('Hi') });
    const asked = ask({ stream: true, stream_options: { include_usage: true } }).events as {
      usage?: unknown;
    }[];
    expect(asked.slice(0, -2).map(({ usage }) => usage)).toEqual([null, null, null, null]);
    expect(asked.at(-2)).toMatchObject({ choices: [], usage: { total_tokens: 24 } });
    const refused = ask({ stream: true, stream_options: { include_usage: false } }).events as object[];
    expect(refused.some((event) => typeof event === 'object' && 'usage' in event)).toBe(false);
  });

  test('the text of the chunks is the text of the whole answer', async () => {
    const { ask } = await world({ engine: { ...says('naïve – 😀 end STOP here'), tokensPerStep: 3 } });
    const whole = ask({ stop: 'STOP' }).json as { choices: { message: { content: string } }[] };
    const chunks = ask({ stop: 'STOP', stream: true }).events as {
      choices: { delta: { content?: string } }[];
    }[];
    const text = chunks.map((chunk) => chunk.choices?.[0]?.delta.content ?? '').join('');
    expect([text, whole.choices[0]!.message.content]).toEqual(['naïve – 😀 end ', 'naïve – 😀 end ']);
  });

  test('logprobs and token ids go with their chunk', async () => {
    const { ask } = await world({ engine: says('é') });
    const events = ask({ stream: true, logprobs: true, return_token_ids: true }).events as {
      choices: object[];
    }[];
    expect(events[0]).toMatchObject({ prompt_token_ids: expect.any(Array) });
    expect(events.slice(1, 4).map(({ choices }) => choices[0])).toMatchObject([
      {
        delta: { content: '' },
        token_ids: [0xc3],
        logprobs: { content: [{ bytes: [0xc3], top_logprobs: [{}, {}] }] },
      },
      { delta: { content: 'é' }, token_ids: [0xa9], logprobs: { content: [{ bytes: [0xa9] }] } },
      { delta: { content: '' }, token_ids: [BYTE_EOS], logprobs: { content: [] } },
    ]);
  });

  test('a failure in mid-stream comes as an error event, and nothing after it', async () => {
    const failure = { code: 'worker-died', message: 'replica 0 lost its worker' } as const;
    const { ask } = await world({ engine: { script: () => ({ tokens: [65, 66], failure }) } });
    const call = ask({ stream: true });
    expect(call.ended).toBe(true);
    expect(call.events.at(-1)).toEqual({
      error: { message: failure.message, type: 'server_error', param: null, code: 'worker_died' },
    });
    expect(ask({}).status).toBe(500);
  });

  test('a long silence is filled with comments that are no events', async () => {
    const { send, clock } = await world({ engine: { ...says('Hi'), stepMs: 25_000 } });
    const call = send({ messages: [{ role: 'user', content: 'hi' }], stream: true });
    clock.run(24_000);
    expect(call.text.match(/^: still working$/gm)).toHaveLength(2);
    expect(call.events).toHaveLength(1);
    clock.run();
    expect(call.events.at(-1)).toBe('[DONE]');
  });
});

describe('callers that are slow or leave', () => {
  const endless = { script: () => ({ tokens: new Array(4000).fill(65) }) };
  const flags = { streamBufferSizeMax: 4096 };

  test('a slow reader pauses its own generation within the bound, and gets everything in the end', async () => {
    const { send, clock } = await world({ engine: endless, flags });
    const call = send({ messages: [{ role: 'user', content: 'hi' }], stream: true, max_tokens: 500 });
    call.stopReading();
    clock.run(2000);
    expect(call.bufferedMax).toBeGreaterThan(4096);
    expect(call.bufferedMax).toBeLessThan(4096 + 1024);
    const other = send({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 100 });
    clock.run(4000);
    expect(other.json).toMatchObject({ usage: { completion_tokens: 100 } });
    expect(call.ended).toBe(false);
    call.startReading();
    clock.run();
    expect(call.events).toHaveLength(1 + 500 + 1 + 1);
  });

  test('a caller that leaves frees its sequences by the next step, queued ones too', async () => {
    const { send, clock, engine, metrics } = await world({ engine: { ...endless, slotCount: 1 } });
    const messages = [{ role: 'user', content: 'hi' }];
    const stream = send({ messages, stream: true });
    const queued = send({ messages, n: 2 });
    clock.run(10);
    expect(engine.activeCount).toBe(3);
    stream.leave();
    queued.leave();
    clock.run(12);
    expect(engine.activeCount).toBe(0);
    expect((await metrics.render()).text).toContain('status="499"} 2');
  });

  test('a request that takes too long fails with the deadline', async () => {
    const { send, clock } = await world({ engine: endless, flags: { requestTimeoutMs: 100 } });
    const call = send({ messages: [{ role: 'user', content: 'hi' }] });
    clock.run(150);
    expect([call.status, call.json]).toMatchObject([504, { error: { code: 'deadline' } }]);
  });
});

describe('refusals', () => {
  test('a full queue is 429 with the time to wait, and nothing of the request runs', async () => {
    const { ask, engine } = await world({ engine: { ...says('ok'), slotCount: 1, queueLengthMax: 1 } });
    const call = ask({ n: 3 });
    expect([call.status, call.headers['retry-after'], call.headers['retry-after-ms']]).toEqual([
      429,
      '2',
      '1500',
    ]);
    expect(call.json).toMatchObject({ error: { type: 'rate_limit_error', code: 'queue_full' } });
    expect(engine.activeCount).toBe(0);
  });

  test('a prompt that leaves no room is 400 with both numbers', async () => {
    const { ask } = await world({ engine: { ...says('ok'), contextTokensMax: 21 } });
    const call = ask({});
    expect([call.status, call.json]).toMatchObject([400, { error: { code: 'context_length_exceeded' } }]);
    // Clients know it by these words, other servers' each.
    expect(call.text).toContain('the prompt has 21 tokens, which exceeds the available context size: ');
    expect(call.text).toContain("this model's maximum context length is 21 tokens");
  });

  test('output beyond the context is cut, not refused', async () => {
    const { ask } = await world({ engine: { ...says('Hello'), contextTokensMax: 24 } });
    expect(ask({ max_tokens: 1000 }).json).toMatchObject({ choices: [{ finish_reason: 'length' }] });
  });

  test.each([
    [{ messages: [] }, 'messages'],
    [{ messages: 'hi' }, 'messages'],
    [{ messages: [{ role: 'user', content: [{ text: 'no type' }] }] }, 'messages[0].content[0].type'],
    [{ messages: [{ role: 'user', content: 7 }] }, 'messages[0].content'],
    [{ temperature: -1 }, 'temperature'],
    [{ top_p: -0.1 }, 'top_p'],
    [{ n: 17 }, 'n'],
    [{ n: 1.5 }, 'n'],
    [{ top_logprobs: 6, logprobs: true }, 'top_logprobs'],
    [{ top_logprobs: 2 }, 'top_logprobs'],
    [{ logit_bias: { x: 1 } }, 'logit_bias.x'],
    [{ logit_bias: { 260: 1 } }, 'logit_bias.260'],
    [{ logit_bias: { 65: 101 } }, 'logit_bias.65'],
    [{ stop: ['a', 3] }, 'stop[1]'],
    [{ stop: new Array(17).fill('a') }, 'stop'],
    [{ min_tokens: 5, max_tokens: 4 }, 'min_tokens'],
    [{ seed: 0.5 }, 'seed'],
    [{ stream: 'yes' }, 'stream'],
    [{ frequency_penalty: 3 }, 'frequency_penalty'],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    [{ tools: [{ type: 'function', name: 'f' }, { type: 'function' }] }, 'tools[1].name'],
    [{ tools: [{ type: 'custom', custom: { name: '' } }] }, 'tools[0].custom.name'],
  ])('%j is refused, naming %s', async (body, param) => {
    const { ask } = await world();
    const call = ask(body);
    expect([call.status, (call.json as { error: { param: string } }).error.param]).toEqual([400, param]);
    expect((call.json as { error: { message: string } }).error.message).toContain(
      param.replace(/[[.].*/, ''),
    );
  });

  test('another model’s name is 404', async () => {
    const { ask } = await world();
    const call = ask({ model: 'gpt-5' });
    expect([call.status, call.json]).toMatchObject([
      404,
      { error: { code: 'model_not_found', param: 'model' } },
    ]);
  });

  test('a model without a template sends callers to the other route', async () => {
    const { ask } = await world({ app: { model: { ...wholeByteModel, chatTemplate: null } } });
    expect(ask({}).text).toContain('/v1/completions');
  });
});

describe('what reaches the engine', () => {
  test('the conversation goes through the template; developer is system', async () => {
    const { ask, submitted } = await world();
    ask({
      messages: [
        { role: 'developer', content: 'be brief' },
        { role: 'user', content: 'hi' },
      ],
    });
    const text = Buffer.from(submitted[0]!.tokens.filter((id) => id < 256)).toString();
    expect(text).toBe('system: be brief\nuser: hi\nassistant: ');
    expect(submitted[0]!.tokens.length).toBe(text.length + 2);
    expect(PROMPT.length - '<|end|>'.length + 1).toBe(21);
  });

  test('sampling is the model’s own where the request says nothing, nulls included', async () => {
    const { ask, submitted } = await world();
    ask({ temperature: null, top_p: null, stop: null, logit_bias: null, seed: null, n: null, user: 'me' });
    expect(submitted[0]!.sampling).toMatchObject({
      temperature: 0.4,
      topP: 0.95,
      topK: 0,
      minP: 0,
      repetitionPenalty: 1,
      frequencyPenalty: 0,
      presencePenalty: 0,
      logitBias: null,
      logprobs: null,
    });
  });

  test('what the request says goes before it', async () => {
    const { ask, submitted } = await world();
    ask({
      temperature: 0,
      top_p: 0.5,
      top_k: -1,
      min_p: 0.1,
      repetition_penalty: 1.1,
      frequency_penalty: 1,
      presence_penalty: -1,
      logit_bias: { 65: -100 },
      seed: 42,
      min_tokens: 2,
      max_tokens: 9,
      ignore_eos: true,
      logprobs: true,
      something_new: { not: 'ours' },
    });
    expect(submitted[0]).toMatchObject({
      maxTokens: 9,
      ignoreStopTokens: true,
      priority: 'turn',
      deadlineMs: 600_000,
    });
    expect(submitted[0]!.sampling).toMatchObject({
      temperature: 0,
      topP: 0.5,
      topK: 0,
      minP: 0.1,
      repetitionPenalty: 1.1,
      frequencyPenalty: 1,
      presencePenalty: -1,
      logitBias: new Map([[65, -100]]),
      seed: 42,
      minTokens: 2,
      logprobs: 0,
    });
  });
});
