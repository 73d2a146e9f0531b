// Fields out of their range: each is refused with its name and its bound. And the ends of the ranges, which must work.
import { expect } from 'vitest';
import type { NativeError } from '../../server/client/native-error.ts';
import type { Family } from './fault.ts';

// Whatever the field, most of these are not it.
const NUMBERS = [-1, 1e308, -1e308, 0.5, '1', true, [], {}] as const;

/** Fields of text completions, each with values that it does not take. */
const COMPLETION: Readonly<Record<string, readonly unknown[]>> = {
  max_tokens: [-1, 0.5, 2 ** 53, 'x'],
  temperature: [-0.1, 1e3, 'hot', []],
  top_p: [-1, 1.1, 'x'],
  top_k: [-2, 0.5, 2 ** 40],
  min_p: [-0.1, 1.1],
  repetition_penalty: [0, -1, 1e9],
  frequency_penalty: [-2.1, 2.1, 1e308],
  presence_penalty: [-2.1, 2.1],
  n: [0, -1, 17, 1.5, 1e9],
  best_of: [0, 99],
  logprobs: [-1, 99, 'x'],
  seed: [0.5, 'x', 1e300],
  stop: [['a'.repeat(2000)], new Array(17).fill('a'), 5, [1]],
  logit_bias: [{ 99999999999: 1 }, { 5: 101 }, { x: 1 }, { '-1': 1 }, { 8192: 1 }, [1], 5],
  min_tokens: [-1, 17, 'x'],
  prompt: [[-1], [8192], [[]], [1.5], {}, 5, [], new Array(65).fill('a')],
  suffix: [5, []],
  stream: ['x', 5],
  echo: ['x'],
  speculation: ['x', 5],
};

const CHAT: Readonly<Record<string, readonly unknown[]>> = {
  messages: [[], 5, [{}], [{ role: 5 }], [{ role: 'user', content: 5 }], {}],
  tools: [5, [5]],
  tool_choice: [5],
  top_logprobs: [-1, 99, 'x'],
  response_format: [5],
};

const RESPONSE: Readonly<Record<string, readonly unknown[]>> = {
  input: [5],
  max_output_tokens: [-1, 'x', 0.5],
  temperature: [-1, 'x'],
  tools: [5],
  previous_response_id: ['resp_nobody', 5],
};

/** Allowed, and as far out as can be. */
const ENDS: readonly object[] = [
  ...[{ temperature: 100 }, { temperature: 1e-300 }, { top_p: 1e-300 }, { min_p: 1 }, { top_k: 2 ** 31 - 1 }],
  ...[
    { repetition_penalty: 100 },
    { repetition_penalty: 0.01 },
    { frequency_penalty: 2, presence_penalty: -2 },
  ],
  {
    logit_bias: Object.fromEntries(Array.from({ length: 1024 }, (_, id) => [id, id % 2 === 0 ? 100 : -100])),
  },
  { logit_bias: Object.fromEntries(Array.from({ length: 1024 }, (_, id) => [id, -100])), top_k: 1 },
  ...[{ seed: Number.MAX_SAFE_INTEGER }, { seed: Number.MIN_SAFE_INTEGER }, { n: 16 }, { max_tokens: 0 }],
  { stop: new Array(16).fill('a'.repeat(1024)) },
  // Legal numbers that once made a logit infinite.
  ...[
    { repetition_penalty: 1e-38 },
    { repetition_penalty: 1e-300, temperature: 1e-300, frequency_penalty: 2 },
  ],
];

export const parameters: Family = {
  name: 'Parameters out of range',
  faults: [
    {
      id: 'parameters/refused',
      does: 'fields of the three APIs with values beyond their bounds or of another type',
      promise: '400 that names the field',
      inject: async (arena) => {
        const roads = [
          ['/v1/completions', { prompt: 'a', max_tokens: 1 }, COMPLETION],
          ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }], max_tokens: 1 }, CHAT],
          ['/v1/responses', { input: 'a', max_output_tokens: 1, store: false }, RESPONSE],
        ] as const;
        let count = 0;
        for (const [path, valid, fields] of roads) {
          for (const [field, values] of Object.entries(fields)) {
            for (const value of values) {
              const answer = await arena.post(path, { ...valid, [field]: value });
              const what = `${field} = ${JSON.stringify(value).slice(0, 80)}: ${answer.text.slice(0, 200)}`;
              expect(answer.status, what).toBe(400);
              const { param, message } = answer.json.error;
              expect(`${param} ${message}`, what).toContain(field);
              count++;
            }
          }
        }
        return count;
      },
    },
    {
      id: 'parameters/ends',
      does: 'values at the ends of their ranges, and numbers near the smallest there are',
      promise: 'an answer, or 400 that names the field: no row of anybody else fails',
      inject: async (arena) => {
        for (const end of ENDS) {
          const answer = await arena.post('/v1/completions', { prompt: 'const a', max_tokens: 4, ...end });
          expect([200, 400], `${JSON.stringify(end).slice(0, 80)}: ${answer.text}`).toContain(answer.status);
        }
        return ENDS.length;
      },
    },
    {
      id: 'parameters/native',
      does: 'questions of the native protocol with fields beyond their bounds',
      promise: '`invalid_request` with the path of the field',
      inject: async (arena) => {
        const client = await arena.native();
        const session = client.open();
        await session.append({ text: 'a' });
        let count = 0;
        const names = [
          'temperature',
          'topP',
          'topK',
          'minP',
          'repetitionPenalty',
          'maxTokens',
          'logprobs',
          'seed',
        ];
        for (const name of names) {
          for (const value of NUMBERS) {
            if (takes(name, value)) continue;
            const answer = session.generate({ [name]: value, ...(name !== 'maxTokens' && { maxTokens: 1 }) });
            const error = await answer.end.then(
              () => null,
              (reason: NativeError) => reason,
            );
            expect(error, `${name} = ${JSON.stringify(value)}`).toMatchObject({ code: 'invalid_request' });
            expect(`${error!.param} ${error!.message}`).toContain(name);
            count++;
          }
        }
        client.close();
        return count;
      },
    },
  ],
};

function takes(name: string, value: unknown): boolean {
  if (name === 'seed') return value === -1;
  return value === 0.5 && !['topK', 'maxTokens', 'logprobs'].includes(name);
}
