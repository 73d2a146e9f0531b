// Callers who leave: while they wait, while their prompt is computed, in mid-answer, in mid-call.
import { once } from 'node:events';
import { expect } from 'vitest';
import type { Random } from '../../kernels/random.ts';
import { type Arena, BOB, until } from './arena.ts';
import type { Family } from './fault.ts';

const TOOL = {
  type: 'function',
  name: 'save',
  parameters: {
    type: 'object',
    properties: { path: { type: 'string', minLength: 200 } },
    required: ['path'],
    additionalProperties: false,
  },
};

export const disconnects: Family = {
  name: 'Disconnects',
  flags: { slots: 4 },
  faults: [
    {
      id: 'disconnects/queue',
      does: '24 callers wait for 4 seats and leave, in an order of chance',
      promise: 'their places are free at once',
      inject: async (arena, random) => {
        const callers = Array.from({ length: 24 }, () => asked(arena, '/v1/completions', long('x')));
        await until(async () => (await arena.metric('sparklane_sequences{state="waiting"}')) > 12);
        await leave(callers, random);
        return callers.length;
      },
    },
    {
      id: 'disconnects/prefill',
      does: 'callers leave while prompts of 4,000 tokens are computed',
      promise: 'the rest of the prompt is not computed; finished blocks stay findable',
      inject: async (arena, random) => {
        const prompt = (name: number) => `// ${name}\n${'export const a = [1, 2];\n'.repeat(440)}`;
        const before = await arena.metric('sparklane_step_tokens_total{kind="prefill"}');
        const callers = [1, 2, 3].map((name) => asked(arena, '/v1/completions', long(prompt(name))));
        await until(
          async () => (await arena.metric('sparklane_step_tokens_total{kind="prefill"}')) > before + 400,
        );
        await leave(callers, random);
        return callers.length;
      },
    },
    {
      id: 'disconnects/decode',
      does: 'callers of streams on every road leave after the first piece',
      promise:
        'their seats are free by the next step; a native session waits for its client and tells it the rest',
      inject: async (arena, random) => {
        const stream = { ...long('function g'), stream: true };
        const chat = { messages: [{ role: 'user', content: 'x' }], max_tokens: 1500, stream: true };
        const response = { input: 'x', max_output_tokens: 1500, stream: true, store: false };
        const callers = [
          asked(arena, '/v1/completions', stream),
          asked(arena, '/v1/chat/completions', { ...chat, ignore_eos: true }),
          asked(arena, '/v1/responses', { ...response, ignore_eos: true }),
        ];
        await Promise.all(callers.map(async ({ answer }) => (await answer)!.body!.getReader().read()));
        await leave(callers, random);
        await leaveSocket(arena);
        await comeBack(arena);
        return callers.length + 2;
      },
    },
    {
      id: 'disconnects/tool',
      does: 'callers leave while a forced call is being written',
      promise: 'the constraint leaves with them: nobody else is drawn under it',
      inject: async (arena, random) => {
        const { type, ...definition } = TOOL;
        const response = { input: 'x', tools: [TOOL], tool_choice: 'required', stream: true, store: false };
        const messages = [{ role: 'user', content: 'x' }];
        const chat = {
          messages,
          tools: [{ type, function: definition }],
          tool_choice: 'required',
          stream: true,
        };
        const callers = [
          asked(arena, '/v1/responses', { ...response, max_output_tokens: 400 }),
          asked(arena, '/v1/chat/completions', { ...chat, max_tokens: 400 }),
        ];
        await Promise.all(callers.map(async ({ answer }) => untilPiece(await answer, /arguments/)));
        await leave(callers, random);
        return callers.length;
      },
    },
  ],
};

function long(prompt: string): object {
  return { prompt, max_tokens: 400, ignore_eos: true };
}

interface Caller {
  readonly answer: Promise<Response | null>; // null: has left
  readonly controller: AbortController;
}

function asked(arena: Arena, path: string, body: object): Caller {
  const controller = new AbortController();
  const answer = arena
    .fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${BOB}` },
      body: JSON.stringify(body),
      signal: controller.signal,
    })
    .catch(() => null);
  return { answer, controller };
}

/** All of them, in an order of chance. */
async function leave(callers: readonly Caller[], random: Random): Promise<void> {
  const order = callers.map((caller) => ({ caller, at: random.next() })).sort((a, b) => a.at - b.at);
  for (const { caller } of order) {
    caller.controller.abort();
    await new Promise(setImmediate);
  }
  await Promise.all(callers.map(({ answer }) => answer));
}

async function untilPiece(answer: Response | null, wanted: RegExp): Promise<void> {
  const reader = answer!.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ''; !wanted.test(text); ) {
    const { value, done } = await reader.read();
    expect(done, text).toBe(false);
    text += value;
  }
}

async function leaveSocket(arena: Arena): Promise<void> {
  const socket = await arena.webSocket('/v1/responses');
  const ask = {
    type: 'response.create',
    input: 'x',
    max_output_tokens: 1500,
    ignore_eos: true,
    store: false,
  };
  for (const lane of ['a', 'b', 'c']) socket.send(JSON.stringify({ ...ask, stream_id: lane }));
  await once(socket, 'message');
  socket.terminate();
}

/** A native client whose socket is cut in mid-answer gets the very same tokens as one whose socket holds. */
async function comeBack(arena: Arena): Promise<void> {
  const question = { maxTokens: 120, seed: 21, ignoreStopTokens: true };
  const steady = await arena.native();
  const whole: number[] = [];
  const other = steady.open({ temperature: 0.7 });
  await other.append({ text: 'class Lost' });
  await other.generate(question, (frame) => whole.push(...frame.tokens)).end;
  const first = await arena.native();
  const session = first.open({ temperature: 0.7 });
  await session.append({ text: 'class Lost' });
  const { id } = await session.opened;
  const got: number[] = [];
  const answer = session.generate(question);
  for await (const frame of answer) {
    got.push(...frame.tokens);
    if (got.length >= 10) break;
  }
  first.close({ keepSessions: true });
  const second = await arena.native();
  const again = second.resume(id, { generation: answer.generation, index: got.length });
  await again.continued(answer.generation, (frame) => got.push(...frame.tokens)).end;
  expect(got).toEqual(whole);
  steady.close();
  second.close();
}
