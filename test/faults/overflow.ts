// More text than there is room for, and text that is hard on the tokenizer.
import { expect } from 'vitest';
import type { NativeError } from '../../server/client/native-error.ts';
import type { Family } from './fault.ts';

const CONTEXT = 2048;

const NASTY: Readonly<Record<string, string>> = {
  spaces: ' '.repeat(900_000),
  'one letter': 'a'.repeat(900_000),
  'line ends': '\r\n'.repeat(450_000),
  'combining marks': `e${'\u0301'.repeat(300_000)}`,
  emoji: '👩‍👩‍👧‍👦'.repeat(30_000),
  digits: '1234567890'.repeat(90_000),
  'control tokens': '<|im_start|>'.repeat(70_000),
  'lone surrogates': '\ud800'.repeat(100_000),
  NUL: '\0'.repeat(100_000),
};

export const overflow: Family = {
  name: 'Context overflow and tokenizer blow-ups',
  flags: { contextTokens: CONTEXT },
  faults: [
    {
      id: 'overflow/prompt',
      does: 'prompts longer than the context, on every road',
      promise: '`context_length_exceeded` with both numbers, or cut where the caller asked for it',
      inject: async (arena) => {
        const text = 'const a = 1;\n'.repeat(1000);
        const messages = [{ role: 'user', content: text }];
        const refused = [
          await arena.post('/v1/completions', { prompt: text }),
          await arena.post('/v1/completions', { prompt: new Array(CONTEXT).fill(7) }),
          await arena.post('/v1/chat/completions', { messages }),
          await arena.post('/v1/responses', { input: text, store: false }),
        ];
        for (const { status, json } of refused) {
          expect([status, json.error.code]).toEqual([400, 'context_length_exceeded']);
          expect(json.error.message).toContain(`${CONTEXT}`);
        }
        const items = [1, 2, 3].map((n) => ({
          role: 'user',
          content: `${n} ${'const b = 2;\n'.repeat(200)}`,
        }));
        const cut = { input: items, truncation: 'auto', max_output_tokens: 4, store: false };
        expect((await arena.post('/v1/responses', cut)).status).toBe(200);
        const client = await arena.native();
        const session = client.open();
        const error = await session.append({ text }).catch((reason: NativeError) => reason);
        expect(error).toMatchObject({ code: 'context_length_exceeded' });
        await session.append({ text: 'a' });
        expect((await session.generate({ maxTokens: 2 }).end).reason).not.toBe('failed');
        client.close();
        return refused.length + 2;
      },
    },
    {
      id: 'overflow/answer',
      does: 'answers that run into the end of the context',
      promise: 'end with `length`, every token that fits was said',
      inject: async (arena) => {
        const prompt = Array.from({ length: CONTEXT - 30 }, (_, index) => (index * 7) % 8000);
        const answer = await arena.post('/v1/completions', { prompt, max_tokens: 10_000, ignore_eos: true });
        expect(answer.json).toMatchObject({
          choices: [{ finish_reason: 'length' }],
          usage: { prompt_tokens: CONTEXT - 30, completion_tokens: 30 },
        });
        return 1;
      },
    },
    {
      id: 'overflow/tokenizer',
      does: `${Object.keys(NASTY).length} texts of up to 900 kB that tokenizers hate, as prompt and to /tokenize`,
      promise: 'refused as too long, or tokenised',
      pace: 'slow',
      inject: async (arena) => {
        for (const [name, text] of Object.entries(NASTY)) {
          const answer = await arena.post('/v1/completions', { prompt: text, max_tokens: 1 });
          expect([400, 413], name).toContain(answer.status);
          const tokenised = await arena.post('/tokenize', { prompt: text.slice(0, 40_000) });
          expect([200, 400, 413], name).toContain(tokenised.status);
        }
        return 2 * Object.keys(NASTY).length;
      },
    },
  ],
};
