// Callers who are not who they should be: no key, another key's ids, pages of strangers; and what one key can learn of
// what another one has asked.
import { expect } from 'vitest';
import type { NativeError } from '../../server/client/native-error.ts';
import { ADA, BOB } from './arena.ts';
import type { Family } from './fault.ts';

const ROUTES = [
  ['POST', '/v1/completions'],
  ['POST', '/v1/chat/completions'],
  ['POST', '/v1/responses'],
  ['GET', '/v1/responses/resp_x'],
  ['DELETE', '/v1/responses/resp_x'],
  ['POST', '/v1/responses/input_tokens'],
  ['GET', '/v1/models'],
  ['POST', '/tokenize'],
  ['POST', '/detokenize'],
  ['POST', '/infill'],
  ['GET', '/metrics'],
  ['GET', '/admin/backend'],
  ['POST', '/admin/backend'],
  ['GET', '/v1/tasks'],
] as const;

const KEYS: readonly Record<string, string>[] = [
  {},
  { authorization: 'Bearer ' },
  { authorization: 'Bearer nobody-s-key' },
  { authorization: `Bearer ${ADA.slice(0, -1)}` },
  { authorization: `Bearer ${ADA}x` },
  { authorization: `bearer${ADA}` },
  { authorization: `Basic ${ADA}` },
  { 'x-api-key': ADA.toUpperCase() },
];

export const strangers: Family = {
  name: 'Missing keys, other keys’ ids, the prefix cache',
  faults: [
    {
      id: 'strangers/keys',
      does: `${ROUTES.length} routes and both sockets without a key, with half a key, with one too long`,
      promise: '401 `invalid_api_key`, whatever the route',
      inject: async (arena) => {
        let count = 0;
        for (const [method, path] of ROUTES) {
          for (const headers of KEYS) {
            const body = method === 'POST' ? { body: '{}' } : {};
            const answer = await arena.fetch(path, {
              method,
              headers: { 'content-type': 'application/json', ...headers },
              ...body,
            });
            const what = `${method} ${path} ${JSON.stringify(headers)}`;
            expect([answer.status, await answer.json()], what).toMatchObject([
              401,
              { error: { code: 'invalid_api_key' } },
            ]);
            count++;
          }
        }
        await expect(arena.native('nobody-s-key')).rejects.toThrow('401');
        await expect(arena.native(`${ADA}x`)).rejects.toThrow('401');
        return count + 2;
      },
    },
    {
      id: 'strangers/ids',
      does: 'sessions, responses and chains of another key, by their right ids',
      promise: 'not found, as if they had never been; their owner still has them',
      inject: async (arena) => {
        const ada = await arena.native(ADA);
        const bob = await arena.native(BOB);
        const session = ada.open();
        await session.append({ text: 'a secret' });
        const { id } = (await session.opened) as { id: string };
        const tries = [bob.resume(id).opened, bob.show(id), bob.drop(id)];
        for (const attempt of tries) {
          const error = await attempt.then(
            () => null,
            (reason: NativeError) => reason,
          );
          expect(error).toMatchObject({ code: 'unknown_session' });
        }
        expect((await bob.sessions()).map((one) => one.id)).not.toContain(id);
        const stored = await arena.post(
          '/v1/responses',
          { input: 'a secret', max_output_tokens: 2 },
          {},
          ADA,
        );
        const of = (key: string, method = 'GET') =>
          arena.fetch(`/v1/responses/${stored.json.id}`, {
            method,
            headers: { authorization: `Bearer ${key}` },
          });
        expect((await of(BOB)).status).toBe(404);
        expect((await of(BOB, 'DELETE')).status).toBe(404);
        const chain = await arena.post('/v1/responses', { input: 'x', previous_response_id: stored.json.id });
        expect(chain.json.error.code).toBe('previous_response_not_found');
        expect((await ada.show(id)).text).toBe('a secret');
        expect((await of(ADA)).status).toBe(200);
        expect((await of(ADA, 'DELETE')).status).toBe(200);
        ada.close();
        bob.close();
        return tries.length + 4;
      },
    },
    {
      id: 'strangers/prefix-cache',
      does: 'a prompt of 800 tokens that another key has just asked',
      promise: 'nothing of it is found: the work is that of a prompt nobody has asked',
      inject: async (arena, random) => {
        const prompt = Array.from({ length: 800 }, () => random.integer(0, 8000));
        const cached = async (key: string) => {
          for (;;) {
            const { status, text, json } = await arena.post(
              '/v1/completions',
              { prompt, max_tokens: 1 },
              {},
              key,
            );
            if (status === 429) continue; // beside others the queue may be full
            expect(status, text).toBe(200);
            return json.usage.prompt_tokens_details.cached_tokens as number;
          }
        };
        await cached(ADA);
        expect(await cached(ADA)).toBeGreaterThan(700);
        expect(await cached(BOB)).toBe(0);
        expect(await cached(BOB)).toBeGreaterThan(700);
        const client = await arena.native(BOB);
        const session = client.open();
        await session.append({ tokens: prompt.slice(1) });
        const { usage } = await session.generate({ maxTokens: 1 }).end;
        expect(usage.cachedTokens).toBeLessThan(16 * 51); // at most what its own append has computed
        client.close();
        return 2;
      },
    },
  ],
};

/** A server without keys, as on a developer's machine: pages are the strangers. */
export const pages: Family = {
  name: 'Wrong origin and host',
  flags: { apiKeys: [] },
  faults: [
    {
      id: 'pages/origin',
      does: 'requests, preflights and upgrades from pages of strangers, and under names that resolve to this machine',
      promise: '403 `origin_not_allowed`; no CORS header, no 101',
      inject: async (arena) => {
        const strange = [
          'host: 127.0.0.1\r\norigin: http://evil.example',
          'host: 127.0.0.1\r\norigin: null',
          'host: 127.0.0.1\r\norigin: http://127.0.0.1.evil.example',
          'host: evil.example',
          'host: 127.0.0.1.evil.example:8080',
          'host: localhost.evil.example',
        ];
        const upgrade =
          'upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n' +
          'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==';
        for (const headers of strange) {
          for (const head of [
            `GET /v1/models HTTP/1.1\r\n${headers}`,
            `OPTIONS /v1/completions HTTP/1.1\r\n${headers}`,
            `POST /v1/completions HTTP/1.1\r\n${headers}\r\ncontent-length: 0`,
            `GET /v1/sparklane HTTP/1.1\r\n${headers}\r\n${upgrade}`,
            `GET /v1/responses HTTP/1.1\r\n${headers}\r\n${upgrade}`,
          ]) {
            const { status, text } = await arena.raw(`${head}\r\n\r\n`);
            expect(status, head).toBe(403);
            expect(text).toContain('origin_not_allowed');
            expect(text.toLowerCase()).not.toContain('access-control-allow-origin');
          }
        }
        return 5 * strange.length;
      },
    },
  ],
};
