// The configurations of docs/behind-tls.md, each run by its own program before a small server: streams event by event, a
// WebSocket, a large body, the caller's address, a page that is the server's own; nginx as it is without any line for it; a
// restart that nobody notices. A program that is not installed (CADDY_BIN, ENVOY_BIN, NGINX_BIN, HAPROXY_BIN) skips.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request } from 'node:https';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { WallClock } from '../../kernels/clock.ts';
import type { Transport } from '../../server/listeners/transport.ts';
import { encodeBytes } from '../byte-text.ts';
import { type Certificate, newCertificate } from '../certificate.ts';
import { freePort } from '../cluster/rig.ts';
import { type HttpServer, httpServer } from '../http-world.ts';
import { type ListenerKind, testListener } from '../listeners.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/behind-tls.md'), 'utf8');
const directory = temporaryDirectory();
const children: ChildProcess[] = [];
const listeners: Transport[] = [];
const certificate = newCertificate('llm.example.com', ['127.0.0.1']);

afterAll(() => {
  for (const child of children) child.kill('SIGTERM');
  for (const listener of listeners) listener.close();
});

interface Proxy {
  readonly name: string;
  readonly program: string;
  readonly language: string; // of its block in the page
  readonly config: (block: string, ports: Ports, certificate: Certificate) => string;
  readonly args: (file: string) => readonly string[];
}

interface Ports {
  readonly front: number;
  readonly back: number;
}

const keyPath = ({ path }: Certificate) => join(path, '../key.pem');
const programs = {
  nginx: env['NGINX_BIN'] ?? 'nginx',
  caddy: env['CADDY_BIN'] ?? 'caddy',
  envoy: env['ENVOY_BIN'] ?? 'envoy',
  haproxy: env['HAPROXY_BIN'] ?? 'haproxy',
};
const nginxArgs = (file: string) => ['-p', directory, '-e', 'stderr', '-g', 'daemon off;', '-c', file];
const nginxFile = (inner: string) =>
  `pid ${join(directory, 'nginx.pid')};\nevents {}\nhttp {\naccess_log off;\n${inner}\n}\n`;

const proxies: readonly Proxy[] = [
  {
    ...{ name: 'Caddy', program: programs.caddy, language: 'caddy' },
    config: (block, { front, back }, made) =>
      `{\n\tauto_https disable_redirects\n\tadmin off\n\tskip_install_trust\n}\n${block
        .replace('llm.example.com {', `https://127.0.0.1:${front} {\n\ttls ${made.path} ${keyPath(made)}`)
        .replace('127.0.0.1:8080', `127.0.0.1:${back}`)}`,
    args: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
  },
  {
    ...{ name: 'nginx', program: programs.nginx, language: 'nginx' },
    config: (block, { front, back }, made) =>
      nginxFile(
        block
          .replace('listen 443', `listen 127.0.0.1:${front}`)
          .replace('127.0.0.1:8080', `127.0.0.1:${back}`)
          .replace('/etc/ssl/llm.pem', made.path)
          .replace('/etc/ssl/llm.key', keyPath(made)),
      ),
    args: nginxArgs,
  },
  {
    ...{ name: 'Envoy', program: programs.envoy, language: 'yaml' },
    config: (block, { front, back }, made) =>
      block
        .replace('address: 0.0.0.0, port_value: 443', `address: 127.0.0.1, port_value: ${front}`)
        .replace('port_value: 8080', `port_value: ${back}`)
        .replace('/etc/ssl/llm.pem', made.path)
        .replace('/etc/ssl/llm.key', keyPath(made)),
    args: (file) => ['-c', file, '--log-level', 'error', '--concurrency', '1', '--disable-hot-restart'],
  },
];

interface Server extends HttpServer {
  readonly port: number;
  readonly listener: Transport;
}

/** By default on the listener that a server takes; HTTP/1.0 needs node:http. */
async function serve(host = '127.0.0.1', kind?: ListenerKind): Promise<Server> {
  const server = httpServer({
    clock: new WallClock(),
    flags: { trustedProxies: ['127.0.0.0/8', '::1'], streamIntervalMs: 0 },
    // Slow enough that events which came one by one can be told from those that came together.
    engine: { stepMs: 100, tokensPerStep: 1, script: () => ({ tokens: [...encodeBytes('abcdefgh')] }) },
  });
  const listener = await testListener(server.config, kind);
  listeners.push(listener);
  const { port } = await listener.listen(host, 0, server.app.handlers);
  return { ...server, port, listener };
}

async function start(
  program: string,
  args: readonly string[],
  ready: () => Promise<boolean>,
): Promise<ChildProcess> {
  const child = spawn(program, args, {
    stdio: 'ignore',
    env: { ...env, HOME: directory, XDG_DATA_HOME: directory },
  });
  children.push(child);
  while (!(await ready())) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
    await pause(50);
  }
  return child;
}

/** Over TLS; the times at which pieces of the answer came. */
async function ask(port: number, path: string, headers: Record<string, string> = {}, body?: string) {
  const sent = request({
    ...{
      host: '127.0.0.1',
      port,
      path,
      rejectUnauthorized: false,
      method: body === undefined ? 'GET' : 'POST',
    },
    headers: {
      host: '127.0.0.1',
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
  });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [import('node:http').IncomingMessage];
  const times: number[] = [];
  let text = '';
  for await (const piece of answer) {
    times.push(performance.now());
    text += String(piece);
  }
  return { status: answer.statusCode, text, times };
}

function isMissing(program: string): boolean {
  const missing =
    spawnSync(program, ['-v']).error !== undefined && spawnSync(program, ['version']).error !== undefined;
  if (missing) console.log(`skipped: there is no ${program}`);
  return missing;
}

for (const { name, program, language, config, args } of proxies) {
  describe.skipIf(certificate === null || isMissing(program))(name, () => {
    let server: Server;
    let port: number;

    beforeAll(async () => {
      server = await serve();
      port = await freePort();
      const block = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(page)![1]!;
      const file = join(directory, `proxy.${language}`);
      writeFileSync(file, config(block, { front: port, back: server.port }, certificate!));
      await start(program, args(file), () =>
        ask(port, '/readyz').then(
          ({ status }) => status === 200,
          () => false,
        ),
      );
    });

    test('passes a stream event by event', async () => {
      const body = JSON.stringify({ prompt: 'x', max_tokens: 8, stream: true });
      const { status, text, times } = await ask(port, '/v1/completions', {}, body);
      expect(status).toBe(200);
      expect(text).toContain('data: [DONE]');
      expect(times.length).toBeGreaterThanOrEqual(8); // a buffer would have made one of them
    });

    test('passes a WebSocket', async () => {
      const socket = new WebSocket(`wss://127.0.0.1:${port}/v1/responses`, { rejectUnauthorized: false });
      await once(socket, 'open');
      await new Promise<void>((resolve) => {
        socket.on('message', (data: Buffer) => {
          if (/"type":"response\.(completed|incomplete)"/.test(data.toString())) resolve();
        });
        socket.send(JSON.stringify({ type: 'response.create', input: 'x', store: false }));
      });
      socket.close();
    });

    test('passes a body of ten megabytes', async () => {
      const body = JSON.stringify({ prompt: 'x', max_tokens: 1, user: 'y'.repeat(3 * 2 ** 20) });
      expect((await ask(port, '/v1/completions', {}, body)).status).toBe(200);
    });

    test('says who asked, and that its page is the server’s own', async () => {
      const own = { origin: 'https://127.0.0.1' };
      expect((await ask(port, '/v1/models', { ...own, host: '127.0.0.1' })).status).toBe(200);
      expect((await ask(port, '/v1/models', { origin: 'https://other.example' })).status).toBe(403);
      const lines = server.logLines.map((line) => JSON.parse(line) as { route?: string; client?: string });
      const { client } = lines.find(({ route }) => route === '/v1/models')!;
      // A caller on loopback has the machine's own address to Envoy.
      const addresses = Object.values(networkInterfaces()).flatMap((list) =>
        list!.map(({ address }) => address),
      );
      expect(addresses).toContain(client);
    });
  });
}

describe('HTTP/1.0, with --listener node', () => {
  test('is answered: whole, streamed without chunks, and closed', async () => {
    const { port } = await serve('127.0.0.1', 'node');
    const said = async (text: string) => {
      const socket = connect(port, '127.0.0.1');
      socket.write(text);
      let answer = '';
      for await (const piece of socket) answer += String(piece);
      return answer;
    };
    expect(await said('GET /healthz HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    const body = JSON.stringify({ prompt: 'x', max_tokens: 3, stream: true });
    const streamed = await said(
      `POST /v1/completions HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    expect(streamed).not.toMatch(/transfer-encoding/i);
    expect(streamed.split('\r\n\r\n')[1]).toMatch(/^data: \{[\s\S]*data: \[DONE\]\n\n$/);
  });

  test.skipIf(isMissing(programs.nginx))('nginx with nothing but proxy_pass', async () => {
    const [{ port: back }, front] = [await serve('127.0.0.1', 'node'), await freePort()];
    const file = join(directory, 'bare.conf');
    const inner = `server { listen 127.0.0.1:${front}; location / { proxy_pass http://127.0.0.1:${back}; } }`;
    writeFileSync(file, nginxFile(inner).replace('nginx.pid', 'bare.pid'));
    const url = `http://127.0.0.1:${front}`;
    const ready = () =>
      fetch(`${url}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await start(programs.nginx, nginxArgs(file), ready);
    const body = JSON.stringify({ prompt: 'x', max_tokens: 3, stream: true });
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
    const answer = await fetch(`${url}/v1/completions`, init);
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('data: [DONE]')]);
  });

  test.skipIf(isMissing(programs.haproxy))('HAProxy’s checks', async () => {
    const [{ port: back }, front] = [await serve('127.0.0.1', 'node'), await freePort()];
    const file = join(directory, 'checks.cfg');
    writeFileSync(
      file,
      `defaults\n mode http\n timeout connect 1s\n timeout client 10s\n timeout server 10s\nfrontend f\n bind 127.0.0.1:${front}\n default_backend b\nbackend b\n option httpchk GET /readyz\n server a 127.0.0.1:${back} check inter 100ms fall 1 rise 1\n`,
    );
    const ready = () =>
      fetch(`http://127.0.0.1:${front}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await start(programs.haproxy, ['-db', '-f', file], ready);
    await pause(500); // several checks, each of which would have taken it out
    expect(await ready()).toBe(true);
  });
});

test.skipIf(isMissing(programs.nginx))(
  'a restart behind a proxy refuses nobody and cuts no stream',
  async () => {
    const [old, young, front] = [await serve(), await serve(), await freePort()];
    const file = join(directory, 'restart.conf');
    const write = (back: number) =>
      writeFileSync(
        file,
        nginxFile(
          `server { listen 127.0.0.1:${front}; location / { proxy_pass http://127.0.0.1:${back}; proxy_http_version 1.1; proxy_buffering off; } }`,
        ).replace('nginx.pid', 'restart.pid'),
      );
    write(old.port);
    const url = `http://127.0.0.1:${front}`;
    const child = await start(programs.nginx, nginxArgs(file), () =>
      fetch(`${url}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    const post = (max_tokens: number) =>
      fetch(`${url}/v1/completions`, {
        ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
        body: JSON.stringify({ prompt: 'x', max_tokens, stream: true }),
      });
    const running = await post(8);
    write(young.port);
    child.kill('SIGHUP'); // nginx -s reload
    const statuses: number[] = [];
    while (young.submitted.length === 0) {
      const answer = await post(1);
      statuses.push(answer.status);
      await answer.text();
    }
    const drained = old.app.drain();
    old.listener.stopListening();
    for (let n = 0; n < 5; n++) statuses.push((await post(1)).status);
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await running.text()).toContain('data: [DONE]');
    await drained;
  },
);

test('IPv6, with and without brackets', async (context) => {
  for (const host of ['::1', '[::1]', '::']) {
    const served = await serve(host).catch(() => null);
    if (served === null) return context.skip('no IPv6 on this machine');
    const sent = httpRequest({
      host: '::1',
      port: served.port,
      path: '/healthz',
      headers: { host: `[::1]:${served.port}` },
    });
    sent.end();
    const [answer] = (await once(sent, 'response')) as [import('node:http').IncomingMessage];
    expect(answer.statusCode).toBe(200);
    answer.resume();
  }
  return undefined;
});
