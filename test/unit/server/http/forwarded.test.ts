// Who asked, and under which name: what proxies say counts where the proxy is trusted, and only there.
import { describe, expect, test } from 'vitest';
import { TrustedProxies } from '../../../../server/http/forwarded.ts';
import type { HttpRequest } from '../../../../server/listeners/transport.ts';

function request(remoteAddress: string, headers: Readonly<Record<string, string>> = {}): HttpRequest {
  return { method: 'GET', path: '/', query: '', header: (name) => headers[name] ?? '', remoteAddress };
}

const asks = (remote: string, chain: string) => request(remote, { 'x-forwarded-for': chain });

describe('the client', () => {
  const proxies = new TrustedProxies(['127.0.0.1', '10.0.0.0/8', '::1', 'fd00::/8']);
  test.each([
    ['whoever connects, where nothing is said', request('127.0.0.1'), '127.0.0.1'],
    ['a stranger, whatever it says', asks('203.0.113.9', '198.51.100.1'), '203.0.113.9'],
    ['whom a trusted proxy names', asks('127.0.0.1', '203.0.113.9'), '203.0.113.9'],
    ['the last that is no proxy', asks('10.1.2.3', '1.1.1.1, 203.0.113.9, 10.9.9.9'), '203.0.113.9'],
    ['the first, where all are proxies', asks('127.0.0.1', '10.0.0.1, 10.0.0.2'), '10.0.0.1'],
    ['a proxy, where what it says is no address', asks('127.0.0.1', 'unknown'), '127.0.0.1'],
    ['an IPv4 address over a socket of IPv6', asks('::ffff:127.0.0.1', '203.0.113.9'), '203.0.113.9'],
    [
      'likewise, as uWebSockets.js writes it',
      asks('0000:0000:0000:0000:0000:ffff:7f00:0001', '203.0.113.9'),
      '203.0.113.9',
    ],
    ['IPv6', asks('::1', '2001:db8::1, fd00::7'), '2001:db8::1'],
    ['without the port that some proxies add', asks('::1', '203.0.113.9:4711'), '203.0.113.9'],
    ['without brackets', asks('::1', '[2001:db8::1]:443'), '2001:db8::1'],
  ])('is %s', (_, asked, client) => {
    expect(proxies.clientOf(asked)).toBe(client);
  });

  test('is whoever connects, where nobody is trusted', () => {
    expect(new TrustedProxies([]).clientOf(asks('127.0.0.1', '203.0.113.9'))).toBe('127.0.0.1');
  });
});

describe('the origin', () => {
  const headers = {
    host: '127.0.0.1:8080',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'LLM.example.com',
  };

  test('is what a trusted proxy says, else what the request says', () => {
    const proxies = new TrustedProxies(['127.0.0.0/8']);
    expect(proxies.originOf(request('127.0.0.1', headers))).toBe('https://llm.example.com');
    expect(proxies.originOf(request('203.0.113.9', headers))).toBe('http://127.0.0.1:8080');
    expect(proxies.originOf(request('127.0.0.1', { host: 'localhost' }))).toBe('http://localhost');
  });
});
