// Everything taken: seats and queue, KV, sessions, stored responses.
import { expect } from 'vitest';
import type { NativeError } from '../../server/client/native-error.ts';
import type { Family } from './fault.ts';

export const exhausted: Family = {
  name: 'Queue, KV, sessions and stores exhausted',
  turns: 1,
  flags: {
    ...{ slots: 3, queueLengthMax: 8, kvCacheSizeMax: '6MiB', sessionCountPerKeyMax: 4 },
    ...{ responseCountPerKeyMax: 5, responseStoreSizeMax: '16KiB' },
  },
  faults: [
    {
      id: 'exhausted/queue',
      does: '60 requests at once at 3 seats and a queue of 8',
      promise: '429 `queue_full` with `retry-after`, or the answer that an idle server gives',
      casualties: 'typed',
      inject: async (arena) => {
        const body = { prompt: 'function q', max_tokens: 12, seed: 4, temperature: 0.9, ignore_eos: true };
        const answers = await Promise.all(
          Array.from({ length: 60 }, () => arena.post('/v1/completions', body)),
        );
        const texts = new Set<string>();
        let refused = 0;
        for (const { status, json, headers } of answers) {
          if (status === 200) texts.add(json.choices[0].text);
          else {
            expect([status, json.error.code]).toEqual([429, 'queue_full']);
            expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
            refused++;
          }
        }
        expect(texts.size).toBeLessThanOrEqual(1);
        expect(refused).toBeGreaterThan(20);
        return 60;
      },
    },
    {
      id: 'exhausted/kv',
      does: 'long prompts at every seat, together three times what the KV store holds',
      promise: 'some wait or are computed again; every answer is that of an idle server, nobody fails',
      casualties: 'typed',
      inject: async (arena) => {
        const ask = (name: number) => {
          const prompt = `// ${name}\n${'const k = [1, 2, 3];\n'.repeat(55)}`;
          return arena.post('/v1/completions', { prompt, max_tokens: 30, seed: name, ignore_eos: true });
        };
        const together = await Promise.all([1, 2, 3].map(ask));
        for (const [index, { status, json }] of together.entries()) {
          if (status === 429) continue; // the background had the queue
          expect(status).toBe(200);
          const alone = await ask(index + 1);
          if (alone.status === 200) expect(alone.json.choices[0].text).toBe(json.choices[0].text);
        }
        return 3;
      },
    },
    {
      id: 'exhausted/sessions',
      does: '40 sessions of a key that may have 4',
      promise: '`session_limit`; sessions of other keys stay',
      casualties: 'typed',
      inject: async (arena) => {
        const client = await arena.native();
        const opened = Array.from({ length: 40 }, () => client.open().opened);
        const codes = await Promise.all(
          opened.map((one) => one.then(() => 'opened').catch((error: NativeError) => error.code)),
        );
        expect(codes.filter((code) => code === 'opened').length).toBe(4);
        expect(codes.filter((code) => code === 'session_limit').length).toBe(36);
        client.close();
        return 40;
      },
    },
    {
      id: 'exhausted/responses',
      does: '12 stored responses of a key that may have 5, then one larger than the store',
      promise: 'the oldest go first; the store stays within its bounds',
      casualties: 'typed',
      inject: async (arena) => {
        let stored = 0;
        for (let i = 0; i < 12; i++) {
          const { status } = await arena.post('/v1/responses', { input: `${i}`, max_output_tokens: 1 });
          if (status === 200) stored++;
        }
        await arena.post('/v1/responses', { input: 'x '.repeat(200), max_output_tokens: 1 });
        expect(await arena.metric('sparklane_stored_responses')).toBeLessThanOrEqual(5);
        expect(await arena.metric('sparklane_stored_response_bytes')).toBeLessThanOrEqual(16 * 1024);
        return stored + 1;
      },
    },
  ],
};
