// The wire to an upstream over real sockets: TLS with a certificate of one's own, a port where nobody listens, a connection
// that breaks, a caller that leaves, a reader that waits. The other side is a plain server of node.
import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openUpstreamWire, type UpstreamWireOptions } from '../../server/upstream/undici-wire.ts';
import type { UpstreamWire, WireCall } from '../../server/upstream/wire.ts';
import { newCertificate } from '../certificate.ts';

const NAME = 'upstream.test';
const certificate = newCertificate(NAME);
const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

class Heard {
  status = 0;
  text = '';
  end: string | null = null; // '' as it should, else why
  readonly call: WireCall;
  readonly over: Promise<void>;

  constructor(wire: UpstreamWire) {
    let ended = () => {};
    this.over = new Promise((resolve) => {
      ended = resolve;
    });
    const end = (why: string) => {
      this.end = why;
      ended();
    };
    this.call = wire.post('{"a":1}', {
      onHead: (status) => {
        this.status = status;
      },
      onData: (bytes) => {
        this.text += Buffer.from(bytes).toString();
      },
      onEnd: () => end(''),
      onError: end,
    });
  }
}

function post(url: string, more: Partial<UpstreamWireOptions> = {}): Heard {
  const wire = openUpstreamWire({
    ...{ url, headers: { authorization: 'Bearer k' }, connections: 2, connectTimeoutMs: 2000 },
    tls: { ca: null, serverName: null },
    ...more,
  });
  closing.push(() => wire.close());
  return new Heard(wire);
}

const echo: RequestListener = async (request, response) => {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(`${request.method} ${request.url} ${request.headers.authorization} ${body}`);
};

const SAID = 'POST /base/v1/chat/completions Bearer k {"a":1}';

test('asks the path below the url with its key, and hears the whole answer', async () => {
  const port = await listening(createServer(echo));
  const heard = post(`http://127.0.0.1:${port}/base/v1/`);
  await heard.over;
  expect(heard).toMatchObject({ status: 200, text: SAID, end: '' });
});

test.skipIf(certificate === null)(
  'TLS: its own certificate is taken by file and name, any other is refused',
  async () => {
    const port = await listening(createTlsServer(certificate!, echo));
    const url = `https://127.0.0.1:${port}/base/v1`;
    const known = post(url, { tls: { ca: certificate!.cert, serverName: NAME } });
    const strange = post(url, { tls: { ca: null, serverName: NAME } });
    const misnamed = post(url, { tls: { ca: certificate!.cert, serverName: null } });
    await Promise.all([known.over, strange.over, misnamed.over]);
    expect(known).toMatchObject({ status: 200, text: SAID, end: '' });
    expect(strange).toMatchObject({ status: 0, end: expect.stringContaining('SELF_SIGNED') });
    expect(misnamed).toMatchObject({ status: 0, end: expect.stringContaining('ALTNAME') });
  },
);

test('a port where nobody listens is an error at once; so is a connection that breaks in an answer', async () => {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: a\n\n', () => response.destroy());
  });
  const port = await listening(server);
  const broken = post(`http://127.0.0.1:${port}/v1`);
  await broken.over;
  expect(broken).toMatchObject({ status: 200, text: 'data: a\n\n' });
  expect(broken.end).not.toBe('');
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
  const refused = post(`http://127.0.0.1:${port}/v1`);
  await refused.over;
  expect(refused).toMatchObject({ status: 0, end: expect.stringContaining('ECONNREFUSED') });
});

test('who leaves is seen to leave, and who waits holds the other side up', async () => {
  const answers: ServerResponse[] = [];
  let sent = 0;
  const server = createServer((_, response) => {
    answers.push(response);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536))) sent += 65_536;
    };
    response.on('drain', more);
    more();
  });
  const heard = post(`http://127.0.0.1:${await listening(server)}/v1`);
  while (heard.text.length < 1_000_000) await new Promise(setImmediate);
  heard.call.pause();
  let before = -1;
  while (before !== sent) {
    before = sent;
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
  }
  const held = heard.text.length;
  heard.call.resume();
  while (heard.text.length < held + 1_000_000) await new Promise(setImmediate);
  const gone = once(answers[0]!, 'close');
  heard.call.abort();
  await Promise.all([gone, heard.over]);
  expect(heard.end).toContain('aborted');
});
