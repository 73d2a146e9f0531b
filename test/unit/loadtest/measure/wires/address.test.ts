// Where routes lie under the address that a person gives.
import { expect, test } from 'vitest';
import { parseAddress } from '../../../../../loadtest/measure/wires/address.ts';

test.each([
  ['http://h:8080', '/v1/chat/completions', '/healthz'],
  ['http://h:8080/', '/v1/chat/completions', '/healthz'],
  ['https://api.groq.com/openai/v1', '/openai/v1/chat/completions', '/openai/healthz'],
  ['https://h/v1/', '/v1/chat/completions', '/healthz'],
  ['https://h/api/paas/v4', '/api/paas/v4/chat/completions', '/api/paas/healthz'],
  ['https://h/v1beta/openai', '/v1beta/openai/chat/completions', '/openai/healthz'],
  ['https://gateway/team/vllm', '/team/vllm/v1/chat/completions', '/team/vllm/healthz'],
  [
    'https://h/openai/deployments/gpt?api-version=2025-01-01',
    '/openai/deployments/gpt/chat/completions?api-version=2025-01-01',
    '/openai/healthz?api-version=2025-01-01',
  ],
])('%s', (url, chat, health) => {
  const address = parseAddress('url', url);
  expect([address.pathOf('/v1/chat/completions'), address.pathOf('/healthz')]).toEqual([chat, health]);
});

test('ws means http, and what cannot be kept is refused without showing secrets', () => {
  expect(parseAddress('url', 'wss://h/x')).toMatchObject({ origin: 'https://h', text: 'https://h/x' });
  for (const text of ['ftp://h', 'h:8080', '', 'http://h/#x'])
    expect(() => parseAddress('url', text)).toThrow(/--url/);
  expect(() => parseAddress('url', 'http://me:secret@h')).toThrow(/^(?!.*secret).*--header/);
});
