import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { encodeClientMessage, PROTOCOL_VERSION } from '../../../../server/client/protocol.ts';
import { type HttpServer, type HttpWorldOptions, httpServer } from '../../../http-world.ts';
import { MemorySocket } from '../../../memory-socket.ts';
import { type MemoryCall, type MemoryRequest, MemoryTransport } from '../../../memory-transport.ts';

interface World extends HttpServer {
  readonly clock: VirtualClock;
  readonly transport: MemoryTransport;
  readonly ask: (request: MemoryRequest) => MemoryCall;
}

async function world(options: Omit<HttpWorldOptions, 'clock'> = {}): Promise<World> {
  const clock = new VirtualClock();
  const server = httpServer({ clock, ...options });
  const transport = new MemoryTransport({ clock });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  const ask = (request: MemoryRequest) => {
    const call = transport.call(request);
    clock.run();
    return call;
  };
  return { ...server, clock, transport, ask };
}

function errorOf(call: MemoryCall): Record<string, unknown> {
  return (call.json as { error: Record<string, unknown> }).error;
}

const completion = { method: 'POST', path: '/v1/completions', body: { prompt: 'hi' } } as const;

describe('routes', () => {
  test('an unknown path is 404, in the envelope of every error', async () => {
    const { ask } = await world();
    const call = ask({ path: '/v2/nothing' });
    expect([call.status, call.headers['content-type']]).toEqual([404, 'application/json']);
    expect(call.json).toEqual({
      error: {
        message: 'there is nothing at /v2/nothing',
        type: 'invalid_request_error',
        param: null,
        code: 'not_found',
      },
    });
  });

  test('slashes that a base URL brought along are not held against a path', async () => {
    const { ask } = await world();
    for (const path of ['//v1/models', '/v1/models/', '/v1//models', '//v1/models//']) {
      expect([path, ask({ path }).status]).toEqual([path, 200]);
    }
    expect(ask({ ...completion, path: '//v1/completions' }).status).toBe(200);
    expect(ask({ path: '//v1/completions/' }).status).toBe(405);
    expect(errorOf(ask({ path: '//v1//nothing/' }))['message']).toBe('there is nothing at /v1/nothing');
  });

  test('a path is found with and without the /v1 that a base URL may bring along', async () => {
    const { ask, transport } = await world();
    for (const path of [
      '/models',
      '/v1/v1/models',
      '/v1/healthz',
      '/models/bytes',
      '//v1/v1/models/bytes/',
    ]) {
      expect([path, ask({ path }).status]).toEqual([path, 200]);
    }
    expect(ask({ ...completion, path: '/completions' }).status).toBe(200);
    expect(ask({ path: '/chat/completions' }).status).toBe(405);
    expect(transport.upgrade('/responses')).toBeInstanceOf(MemorySocket);
    expect(ask({ path: '/v1/v1/v1/models' }).status).toBe(404);
  });

  test('the wrong method is 405 and says which are right', async () => {
    const { ask } = await world();
    const call = ask({ path: '/v1/completions' });
    expect([call.status, call.headers['allow'], errorOf(call)['code']]).toEqual([
      405,
      'POST',
      'method_not_allowed',
    ]);
    expect(ask({ method: 'DELETE', path: '/v1/models' }).headers['allow']).toBe('GET');
  });

  test('a WebSocket path asked for without an upgrade is 426', async () => {
    const { ask } = await world();
    const call = ask({ path: '/v1/sparklane' });
    expect([call.status, call.headers['upgrade']]).toEqual([426, 'websocket']);
  });

  test('HEAD finds what GET finds', async () => {
    const { ask } = await world();
    expect(ask({ method: 'HEAD', path: '/v1/models' }).status).toBe(200);
  });

  test('every answer carries its id, and the log has it', async () => {
    const { ask, logLines } = await world();
    const call = ask({ path: '/healthz' });
    expect(call.headers['x-request-id']).toBe('req_1');
    expect(logLines.join('')).toContain('"id":"req_1"');
  });
});

describe('bodies', () => {
  test('one over the bound is 413 with the bound', async () => {
    const { ask } = await world({ flags: { bodySizeMax: 1024 } });
    const call = ask({ ...completion, body: { prompt: 'x'.repeat(2000) } });
    expect([call.status, errorOf(call)['message']]).toEqual([
      413,
      'the body is larger than 1024 bytes (--body-size)',
    ]);
  });

  test.each([
    ['', '415'],
    ['text/plain', '415'],
    ['application/x-www-form-urlencoded', '415'],
    ['application/jsonp', '415'],
    ['application/json; charset=utf-8', '200'],
    ['application/vnd.api+json', '200'],
  ])('content-type %j gives %s', async (type, status) => {
    const { ask } = await world();
    const call = ask({ ...completion, headers: { 'content-type': type } });
    expect(`${call.status}`).toBe(status);
  });

  test('a compressed one is 415', async () => {
    const { ask } = await world();
    expect(ask({ ...completion, headers: { 'content-encoding': 'gzip' } }).status).toBe(415);
  });

  test('what is not JSON, or not UTF-8, is 400', async () => {
    const { ask } = await world();
    const headers = { 'content-type': 'application/json' };
    for (const body of ['{"prompt":', '', Uint8Array.of(0x22, 0xff, 0x22)]) {
      const call = ask({ ...completion, headers, body });
      expect([call.status, errorOf(call)['code']]).toEqual([400, 'invalid_json']);
    }
  });
});

describe('who may call', () => {
  const key = 'first-key';

  test('with a key every route but health needs it, as a bearer or as x-api-key', async () => {
    const { ask } = await world({ flags: { apiKeys: [key, 'second-key'] } });
    for (const path of ['/v1/models', '/metrics', '/v1/completions', '/nowhere']) {
      const call = ask({ path });
      expect([path, call.status, call.headers['www-authenticate']]).toEqual([path, 401, 'Bearer']);
    }
    expect(ask({ path: '/healthz' }).status).toBe(200);
    expect(ask({ path: '/readyz' }).status).toBe(200);
    expect(ask({ path: '/v1/models', headers: { authorization: `Bearer ${key}` } }).status).toBe(200);
    expect(ask({ path: '/v1/models', headers: { authorization: 'bearer second-key' } }).status).toBe(200);
    expect(ask({ path: '/v1/models', headers: { 'x-api-key': key } }).status).toBe(200);
    for (const authorization of [`Bearer ${key}x`, 'Bearer ', key, `Basic ${key}`]) {
      expect(ask({ path: '/v1/models', headers: { authorization } }).status).toBe(401);
    }
  });

  test('prefixes of different keys are kept apart', async () => {
    const { ask, submitted } = await world({ flags: { apiKeys: [key, 'second-key'] } });
    for (const presented of [key, 'second-key', key]) {
      ask({ ...completion, headers: { authorization: `Bearer ${presented}` } });
    }
    expect(submitted.map(({ cacheSalt }) => cacheSalt)).toEqual(['key-1', 'key-2', 'key-1']);
  });

  test('without a key, pages of strangers and rebound names are kept out', async () => {
    const { ask } = await world();
    expect(ask({ path: '/v1/models', headers: { origin: 'http://evil.example' } }).status).toBe(403);
    expect(ask({ path: '/v1/models', headers: { host: 'evil.example:8080' } }).status).toBe(403);
    for (const host of ['localhost:8080', '127.0.0.1', '[::1]:8080']) {
      expect(ask({ path: '/v1/models', headers: { host } }).status).toBe(200);
    }
    expect(ask({ path: '/healthz', headers: { host: 'probe.example' } }).status).toBe(200);
  });

  test('with a key, any host and origin may try', async () => {
    const { ask } = await world({ flags: { apiKeys: [key] } });
    const headers = { authorization: `Bearer ${key}`, host: 'box.example', origin: 'http://app.example' };
    const call = ask({ path: '/v1/models', headers });
    expect([call.status, call.headers['access-control-allow-origin']]).toEqual([200, undefined]);
  });

  test('an allowed origin may call and read, its preflight is answered', async () => {
    const { ask } = await world({ flags: { corsOrigins: ['http://app.example'] } });
    const origin = 'http://app.example';
    expect(ask({ path: '/v1/models', headers: { origin } }).headers['access-control-allow-origin']).toBe(
      origin,
    );
    const preflight = ask({ method: 'OPTIONS', path: '/v1/completions', headers: { origin } });
    expect([preflight.status, preflight.headers['access-control-allow-origin']]).toEqual([204, origin]);
    expect(
      ask({ method: 'OPTIONS', path: '/v1/completions', headers: { origin: 'http://evil.example' } }).status,
    ).toBe(403);
  });

  test('a WebSocket is held to the same rules, but may bring its key in the first frame', async () => {
    const { transport } = await world({ flags: { apiKeys: [key] } });
    expect(transport.upgrade('/v1/sparklane', { authorization: 'Bearer wrong-key' })).toMatchObject({
      status: 401,
    });
    expect(transport.upgrade('/v1/other')).toMatchObject({ status: 404 });
    expect(transport.upgrade('/v1/sparklane')).toBeInstanceOf(MemorySocket);
    const open = await world();
    expect(open.transport.upgrade('/v1/sparklane', { origin: 'http://evil.example' })).toMatchObject({
      status: 403,
    });
  });
});

describe('bounds', () => {
  test('requests and sockets together are bounded; health and metrics still answer', async () => {
    const { transport, clock, ask } = await world({ flags: { connectionCountMax: 2 } });
    const socket = transport.upgrade('/v1/sparklane') as MemorySocket;
    const first = transport.call({
      ...completion,
      body: { prompt: 'a long prompt', stream: true, max_tokens: 100 },
    });
    clock.run(2);
    const second = transport.call(completion);
    clock.run(3);
    expect([second.status, second.headers['retry-after']]).toEqual([503, '1']);
    expect(transport.upgrade('/v1/sparklane')).toMatchObject({ status: 503 });
    const [health, ready, metrics] = ['/healthz', '/readyz', '/metrics'].map((path) =>
      transport.call({ path }),
    );
    clock.run(4);
    while (!metrics!.ended) {
      await new Promise(setImmediate);
      clock.run(4);
    }
    expect([health!.status, ready!.status, metrics!.status]).toEqual([200, 200, 200]);
    clock.run(1000);
    expect(first.ended).toBe(true);
    expect(ask(completion).status).toBe(200);
    socket.disconnect();
    clock.run();
    expect(transport.upgrade('/v1/sparklane')).toBeInstanceOf(MemorySocket);
  });

  test('sockets that have shown no key are bounded apart: key holders come in, and so does who is next', async () => {
    const { transport, clock } = await world({
      flags: { apiKeys: ['first-key'], connectionCountMax: 8, ungreetedSocketCountMax: 2 },
    });
    const keyless = [0, 1].map(() => transport.upgrade('/v1/sparklane') as MemorySocket);
    const refused = transport.upgrade('/v1/sparklane');
    expect(refused).toMatchObject({ status: 503, body: expect.stringContaining('--ungreeted-sockets') });
    const headers = { authorization: 'Bearer first-key' };
    expect(transport.upgrade('/v1/sparklane', headers)).toBeInstanceOf(MemorySocket);
    const version = { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION };
    const hello = { type: 'hello', version, client: 'test', apiKey: 'first-key' } as const;
    keyless[0]!.transmit(encodeClientMessage(hello));
    clock.run(2);
    expect(transport.upgrade('/v1/sparklane')).toBeInstanceOf(MemorySocket);
    expect(transport.upgrade('/v1/sparklane')).toMatchObject({ status: 503 });
    clock.run(20_000); // those that never say hello are closed
    expect(transport.upgrade('/v1/sparklane')).toBeInstanceOf(MemorySocket);
  });

  test('a route that throws is a 500 that tells nothing but its id, and a line in the log', async () => {
    const script = () => {
      throw new Error('secret detail');
    };
    const { ask, logLines } = await world({ engine: { script } });
    const call = ask(completion);
    expect([call.status, errorOf(call)['code']]).toEqual([500, 'internal_error']);
    expect(call.text).not.toContain('secret detail');
    expect(logLines.find((line) => line.includes('secret detail'))).toContain(call.headers['x-request-id']);
  });
});

describe('metrics', () => {
  test('requests are counted by route and status, never by what callers make up', async () => {
    const { ask, metrics } = await world();
    ask({ path: '/v1/models' });
    ask({ path: '/v1/models/absent' });
    ask({ path: '/made/up' });
    const { text } = await metrics.render();
    expect(text).toContain('sparklane_http_requests_total{route="/v1/models",status="200"} 1');
    expect(text).toContain('sparklane_http_requests_total{route="/v1/models/:*",status="404"} 1');
    expect(text).toContain('sparklane_http_requests_total{route="unmatched",status="404"} 1');
    expect(text).not.toContain('made');
    expect(text).toContain('sparklane_open_connections{kind="http"} 0');
  });

  test('/metrics is Prometheus text', async () => {
    const { transport, clock } = await world();
    const call = transport.call({ path: '/metrics' });
    clock.run();
    while (!call.ended) {
      await new Promise(setImmediate);
      clock.run();
    }
    expect([call.status, call.headers['content-type']]).toEqual([200, expect.stringContaining('text/plain')]);
    expect(call.text).toContain('# TYPE sparklane_itl_seconds histogram');
  });
});

describe('going down', () => {
  test('open answers are finished, new ones refused, readiness is gone, sockets are closed last', async () => {
    const { app, transport, clock, ask } = await world();
    const socket = transport.upgrade('/v1/sparklane') as MemorySocket;
    const open = transport.call({ ...completion, body: { prompt: 'finish me', max_tokens: 100 } });
    clock.run(3);
    let down = false;
    const drained = app.drain().then(() => {
      down = true;
    });
    expect(app.drain()).toBe(app.drain());
    const late = transport.call(completion);
    clock.run(4);
    expect([late.status, errorOf(late)['code']]).toEqual([503, 'draining']);
    expect([open.ended, socket.closedWith, down]).toEqual([false, null, false]);
    clock.run();
    await drained;
    expect((open.json as { choices: { text: string }[] }).choices[0]!.text).toBe('FINISH ME');
    expect(socket.closedWith?.code).toBe(1001);
    expect(ask({ path: '/readyz' }).status).toBe(503);
    expect(ask({ path: '/healthz' }).status).toBe(200);
  });

  test('what is still open after the drain time fails with a typed error', async () => {
    const { app, transport, clock } = await world({
      flags: { drainTimeoutMs: 50 },
      engine: { script: () => ({ tokens: new Array(1000).fill(65) }) },
    });
    const whole = transport.call({ ...completion, body: { prompt: 'a', max_tokens: 1000 } });
    const stream = transport.call({ ...completion, body: { prompt: 'a', max_tokens: 1000, stream: true } });
    clock.run(5);
    const drained = app.drain();
    clock.run();
    await drained;
    expect(clock.nowMs()).toBeLessThan(100);
    expect([whole.status, errorOf(whole)['code']]).toEqual([503, 'shutdown']);
    expect(stream.events.at(-1)).toMatchObject({ error: { code: 'shutdown', type: 'server_error' } });
  });

  test('a caller who never sends a body does not keep the server up', async () => {
    const { app, transport, clock } = await world({ flags: { drainTimeoutMs: 50 } });
    const silent = transport.call(completion);
    silent.exchange.readBody = () => {};
    clock.run(1);
    const drained = app.drain();
    clock.run();
    await drained;
    expect(silent.status).toBe(0);
  });
});
