import { describe, expect, test } from 'vitest';
import { TrustedProxies } from '../../../../server/http/forwarded.ts';
import { Guard, presentedKey } from '../../../../server/http/guard.ts';
import type { HttpRequest } from '../../../../server/listeners/transport.ts';

function request(headers: Readonly<Record<string, string>>): HttpRequest {
  return {
    method: 'GET',
    path: '/',
    query: '',
    header: (name) => headers[name] ?? '',
    remoteAddress: '127.0.0.1',
  };
}

function guard(options: Partial<ConstructorParameters<typeof Guard>[0]> = {}): Guard {
  return new Guard({
    apiKeys: [],
    corsOrigins: [],
    host: '127.0.0.1',
    proxies: new TrustedProxies([]),
    ...options,
  });
}

describe('keys', () => {
  test('every key has an owner of its own that does not tell the key', () => {
    const keys = guard({ apiKeys: ['first-key', 'second-key'] });
    expect([keys.ownerOf('first-key'), keys.ownerOf('second-key')]).toEqual(['key-1', 'key-2']);
    for (const wrong of ['', 'first', 'first-key ', 'first-keyfirst-key'])
      expect(keys.ownerOf(wrong)).toBe(null);
  });

  test('without keys everybody is the same nobody', () => {
    expect([guard().keyNeeded, guard().ownerOf('anything')]).toEqual([false, '']);
    expect(guard().admit(request({ authorization: 'Bearer unused-key' }))).toEqual({ ok: true, owner: '' });
  });

  test('a key is found in either header, the bearer first', () => {
    expect(presentedKey(request({ authorization: 'Bearer abc', 'x-api-key': 'def' }))).toBe('abc');
    expect(presentedKey(request({ authorization: 'Basic abc', 'x-api-key': 'def' }))).toBe('def');
    expect(presentedKey(request({}))).toBe(null);
  });

  test('a missing key and a wrong one are told apart', () => {
    const keys = guard({ apiKeys: ['first-key'] });
    expect(keys.admit(request({}))).toMatchObject({
      ok: false,
      fault: { message: expect.stringContaining('needed') },
    });
    const wrong = keys.admit(request({ authorization: 'Bearer wrong-key' }));
    expect(wrong).toMatchObject({ ok: false, fault: { code: 'invalid_api_key' } });
    expect(JSON.stringify(wrong)).not.toContain('wrong-key');
  });
});

describe('browsers', () => {
  test.each([
    ['localhost', true],
    ['LOCALHOST:8080', true],
    ['127.0.0.1:8080', true],
    ['[::1]:8080', true],
    ['', true],
    ['evil.example', false],
    ['127.0.0.1.evil.example:8080', false],
    ['[2001:db8::1]:8080', false],
  ])('Host %j without a key: %s', (host, allowed) => {
    expect(guard().strangerFault(request({ host })) === null).toBe(allowed);
  });

  test('this server’s own page may call, a page of another port or name may not', () => {
    const own = { host: '127.0.0.1:8080', origin: 'http://127.0.0.1:8080' };
    expect(guard().strangerFault(request(own))).toBe(null);
    expect(guard().strangerFault(request({ ...own, origin: 'http://127.0.0.1:8081' }))).not.toBe(null);
    expect(guard().strangerFault(request({ ...own, origin: 'http://localhost:8080' }))).not.toBe(null);
    // A stranger's name that was made to resolve here: the page is of the same origin as what it calls.
    const rebound = { host: 'evil.example:8080', origin: 'http://evil.example:8080' };
    expect(guard().strangerFault(request(rebound))).not.toBe(null);
  });

  test('an origin is allowed by its exact name or by *, and then may read', () => {
    const origin = 'http://app.example';
    const some = guard({ corsOrigins: [origin] });
    expect(some.strangerFault(request({ origin }))).toBe(null);
    expect(some.strangerFault(request({ origin: `${origin}.evil.example` }))).not.toBe(null);
    expect(some.strangerFault(request({ origin: 'null' }))).not.toBe(null);
    expect(some.corsHeaders(request({ origin }))['access-control-allow-origin']).toBe(origin);
    expect(some.corsHeaders(request({ origin }))['vary']).toBe('origin'); // or a cache gives it to another page
    expect(some.corsHeaders(request({ origin: 'http://evil.example' }))).toEqual({});
    expect(some.corsHeaders(request({}))).toEqual({});
    expect(guard({ corsOrigins: ['*'] }).strangerFault(request({ origin: 'http://any.example' }))).toBe(null);
  });
});

test('the page that a trusted proxy serves is this server’s own', () => {
  const proxies = new TrustedProxies(['127.0.0.1']);
  const headers = {
    ...{ host: '127.0.0.1', origin: 'https://llm.example.com' },
    ...{ 'x-forwarded-proto': 'https', 'x-forwarded-host': 'llm.example.com' },
  };
  expect(guard({ proxies }).strangerFault({ ...request(headers), remoteAddress: '127.0.0.1' })).toBe(null);
  expect(guard({ proxies }).strangerFault({ ...request(headers), remoteAddress: '127.0.0.2' })).not.toBe(
    null,
  );
  expect(guard().strangerFault({ ...request(headers), remoteAddress: '127.0.0.1' })).not.toBe(null);
});
