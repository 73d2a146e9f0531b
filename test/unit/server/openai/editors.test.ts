// What editors and the Codex CLI ask beside the common routes: infilling in two shapes, the model catalogue.
import { describe, expect, test } from 'vitest';
import { responsesServer } from '../../../responses-world.ts';

async function world(contextTokensMax = 4096) {
  const prompts: number[][] = [];
  const server = await responsesServer({
    say: (_prompt, { tokens }) => {
      prompts.push([...tokens]);
      return 'return a + b;';
    },
    engine: { contextTokensMax },
  });
  return { server, prompts };
}

/** Bytes as text, the special tokens as their letters. */
function shown(prompt: readonly number[]): string {
  const letters: Readonly<Record<number, string>> = { 257: '<P>', 258: '<S>', 259: '<M>' };
  return prompt.map((id) => letters[id] ?? String.fromCharCode(id)).join('');
}

describe('POST /infill', () => {
  const body = { input_prefix: 'function add(a, b) {\n', prompt: '  ', input_suffix: '\n}\n' };

  test('lays the texts around the cursor out and answers as llama-server does', async () => {
    const { server, prompts } = await world();
    const call = await server.request('POST', '/infill', { ...body, n_predict: 32, samplers: ['top_k'] });
    expect(shown(prompts[0]!)).toBe('<P>function add(a, b) {\n  <S>\n}\n<M>');
    expect(call.json).toMatchObject({
      content: 'return a + b;',
      stop: true,
      stop_type: 'eos',
      tokens_predicted: 14,
      tokens_evaluated: prompts[0]!.length,
      timings: { predicted_n: 14 },
    });
  });

  test('streams', async () => {
    const { server } = await world();
    const call = await server.request('POST', '/infill', { ...body, stream: true });
    const events = call.events as { content: string; stop: boolean }[]; // no [DONE], as llama-server has none here
    expect(events.map(({ content }) => content).join('')).toBe('return a + b;');
    expect(events.map(({ stop }) => stop)).toEqual([...events.slice(1).map(() => false), true]);
  });

  test('with n_predict 0 only computes the prompt', async () => {
    const { server } = await world();
    const call = await server.request('POST', '/infill', { ...body, n_predict: 0 });
    expect([call.status, server.server.submitted[0]!.maxTokens]).toEqual([200, 0]);
    expect(call.json).toMatchObject({ content: '' });
  });

  test('puts other files before the text, the best one next to it, those that fit', async () => {
    const { server, prompts } = await world(256);
    const input_extra = [
      { filename: 'a.ts', text: 'best' },
      { filename: 'b.ts', text: 'x'.repeat(500) },
      { filename: 'c.ts', text: 'next' },
    ];
    await server.request('POST', '/infill', { ...body, input_extra });
    expect(shown(prompts[0]!)).toBe('<P>// c.ts\nnext\n// a.ts\nbest\nfunction add(a, b) {\n  <S>\n}\n<M>');
  });

  test('of texts that are too long keeps what is around the cursor', async () => {
    const { server, prompts } = await world(256);
    const call = await server.request('POST', '/infill', {
      input_prefix: `${'p'.repeat(1000)}HERE`,
      input_suffix: `THERE${'s'.repeat(1000)}`,
    });
    expect(call.status).toBe(200);
    expect(shown(prompts[0]!)).toMatch(/^<P>p+HERE<S>THEREs+<M>$/);
    expect(prompts[0]!.length).toBeLessThanOrEqual(192);
  });
});

test('POST /v1/fim/completions answers in the shape of chat', async () => {
  const { server, prompts } = await world();
  const body = { model: 'bytes', prompt: 'let a = ', suffix: ';' };
  const call = await server.request('POST', '/v1/fim/completions', body);
  expect(shown(prompts[0]!)).toBe('<P>let a = <S>;<M>');
  expect(call.json).toMatchObject({
    object: 'chat.completion',
    choices: [{ message: { role: 'assistant', content: 'return a + b;' }, finish_reason: 'stop' }],
  });
  const stream = await server.request('POST', '/v1/fim/completions', { ...body, stream: true });
  expect(stream.events.at(-1)).toBe('[DONE]');
});

test('GET /v1/models has a catalogue for Codex, which says its version', async () => {
  const { server } = await world();
  const plain = (await server.request('GET', '/v1/models')).json as object;
  expect(plain).not.toHaveProperty('models');
  const asked = await server.request('GET', '/v1/models?client_version=0.169.0');
  expect(asked.json).toMatchObject({
    object: 'list',
    data: [{ id: 'bytes' }],
    models: [{ slug: 'bytes', context_window: 4096, apply_patch_tool_type: 'freeform' }],
  });
});
