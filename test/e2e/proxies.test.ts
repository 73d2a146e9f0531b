// The configurations under deploy/, each by its own program before three small servers of ours: ids name their node, a session
// stays on one, a node that drains or is gone is left out, streams and WebSockets pass. A program that is not installed
// (ENVOY_BIN, HAPROXY_BIN and NGINX_BIN may say where it is) skips.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { env } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { WallClock } from '../../kernels/clock.ts';
import type { Transport } from '../../server/listeners/transport.ts';
import { freePort } from '../cluster/rig.ts';
import { type HttpServer, httpServer } from '../http-world.ts';
import { testListener } from '../listeners.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const root = join(import.meta.dirname, '../..');
const directory = temporaryDirectory();
const children: ChildProcess[] = [];
const listeners: Transport[] = [];

afterAll(() => {
  for (const child of children) child.kill('SIGTERM');
  for (const listener of listeners) listener.close();
});

interface Proxy {
  readonly name: string;
  readonly program: string;
  readonly config: string;
  readonly args: (config: string) => readonly string[];
  readonly readsBodies: boolean; // for prompt_cache_key and previous_response_id
  readonly checksHealth: boolean;
}

const proxies: readonly Proxy[] = [
  {
    ...{
      name: 'Envoy',
      program: env['ENVOY_BIN'] ?? 'envoy',
      config: 'envoy.yaml',
      readsBodies: true,
      checksHealth: true,
    },
    args: (config) => ['-c', config, '--log-level', 'error', '--concurrency', '1', '--disable-hot-restart'],
  },
  {
    ...{
      name: 'HAProxy',
      program: env['HAPROXY_BIN'] ?? 'haproxy',
      config: 'haproxy.cfg',
      readsBodies: true,
      checksHealth: true,
    },
    args: (config) => ['-db', '-f', config],
  },
  {
    ...{
      name: 'nginx',
      program: env['NGINX_BIN'] ?? 'nginx',
      config: 'nginx.conf',
      readsBodies: false,
      checksHealth: false,
    },
    args: (config) => ['-p', directory, '-e', 'stderr', '-g', 'daemon off;', '-c', config],
  },
];

interface Node extends HttpServer {
  readonly name: string;
  readonly port: number;
  readonly listener: Transport;
}

for (const proxy of proxies) {
  const missing =
    spawnSync(proxy.program, ['-v']).error !== undefined &&
    spawnSync(proxy.program, ['--version']).error !== undefined;
  if (missing) console.log(`skipped: ${proxy.name}: there is no ${proxy.program}`);
  describe.skipIf(missing)(proxy.name, () => {
    test('keeps what belongs together on one node, and goes on without it', async () => {
      const nodes = await Promise.all(['a', 'b', 'c'].map(startNode));
      const url = await startProxy(proxy, nodes);

      // An id names its node.
      const ids = new Map<string, string>(); // node → id of a response
      for (let n = 0; ids.size < 3; n++) {
        const { id } = await respond(
          url,
          { input: 'hi', prompt_cache_key: `p${n}` },
          { 'session-id': `s${n}` },
        );
        ids.set(nodeOf(id), id);
      }
      for (const [node, id] of ids) {
        const stored = (await (await fetch(`${url}/v1/responses/${id}`)).json()) as { id: string };
        expect(stored.id).toBe(id);
        if (!proxy.readsBodies) continue;
        const next = await respond(url, { input: 'on', previous_response_id: id });
        expect(nodeOf(next.id)).toBe(node);
      }

      // A conversation is on its node, by its path and, where bodies are read, by the request's field in either form.
      const [node, talk] = await startConversation(url);
      expect((await fetch(`${url}/v1/conversations/${talk}`)).status).toBe(200);
      for (const conversation of proxy.readsBodies ? [talk, { id: talk }] : []) {
        expect(nodeOf((await respond(url, { input: 'hi', conversation })).id)).toBe(node);
      }

      // A session stays where it is, by header or by the body's key.
      const of = async (body: object, headers?: Record<string, string>) =>
        nodeOf((await respond(url, { input: 'hi', ...body }, headers)).id);
      for (const session of ['x', 'y', 'z']) {
        const first = await of({}, { 'session-id': session });
        for (let n = 0; n < 3; n++) expect(await of({}, { 'session-id': session })).toBe(first);
        if (proxy.readsBodies) {
          expect(await of({ prompt_cache_key: session })).toBe(await of({ prompt_cache_key: session }));
        }
      }

      // What only looks like an id, in a text, is none.
      const quoted = JSON.stringify({ previous_response_id: ids.get('a') });
      expect((await respond(url, { input: quoted }, { 'session-id': 'x' })).status).toBe('completed');

      // Streams and WebSockets pass, the latter to the node that their session names.
      const stream = await fetch(`${url}/v1/responses`, request({ input: 'hi', stream: true }));
      expect(await stream.text()).toContain('event: response.completed');
      expect(await greeting(`${url.replace('http', 'ws')}/v1/sparklane?session=sess_b.12345`)).toBe(101);

      // A node that drains takes nothing new: nobody is refused.
      const [, b, c] = nodes as [Node, Node, Node];
      void b.app.drain();
      b.listener.stopListening();
      for (let n = 0; n < 12; n++) expect(['a', 'c']).toContain(await of({}, { 'session-id': `d${n}` }));

      // Nor where it is gone, also for what its ids name: another node says that it does not know it.
      c.listener.close();
      if (proxy.checksHealth) await pause(4000);
      for (let n = 0; n < 12; n++) expect(await of({}, { 'session-id': `e${n}` })).toBe('a');
      expect((await fetch(`${url}/v1/responses/${ids.get('c')}`)).status).toBe(404);
    });
  });
}

function request(body: object, headers: Record<string, string> = {}): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  };
}

/** Its node and its id. */
async function startConversation(url: string): Promise<readonly [string, string]> {
  const made = await fetch(`${url}/v1/conversations`, request({}));
  const { id } = (await made.json()) as { readonly id: string };
  return [id.slice('conv_'.length, id.indexOf('.')), id];
}

async function respond(url: string, body: object, headers?: Record<string, string>) {
  const answer = await fetch(`${url}/v1/responses`, request(body, headers));
  const text = await answer.text();
  expect(answer.status, text).toBe(200);
  return JSON.parse(text) as { id: string; status: string };
}

/** resp_a.17 → a */
function nodeOf(id: string): string {
  return /^resp_([a-z]+)\./.exec(id)![1]!;
}

function greeting(url: string): Promise<number> {
  const socket = new WebSocket(url);
  return new Promise((resolve, reject) => {
    socket.on('open', () => {
      socket.close();
      resolve(101);
    });
    socket.on('error', reject);
  });
}

async function startNode(name: string): Promise<Node> {
  let count = 0;
  const server = httpServer({ clock: new WallClock(), app: { freshId: () => `${name}.${++count}` } });
  const listener = await testListener(server.config);
  listeners.push(listener);
  const { port } = await listener.listen('127.0.0.1', 0, server.app.handlers);
  return { ...server, name, port, listener };
}

async function startProxy({ name, program, config, args }: Proxy, nodes: readonly Node[]): Promise<string> {
  const [port, adminPort] = [await freePort(), await freePort()];
  let text = readFileSync(join(root, 'deploy', config), 'utf8');
  const ports: Record<string, number> = { 8080: port, 9901: adminPort };
  for (const [index, node] of nodes.entries()) ports[8081 + index] = node.port;
  text = text.replace(/\b(808[0-3]|9901)\b/g, (found) => String(ports[found]));
  text = text.replace('/tmp/sparklane-nginx.pid', join(directory, 'nginx.pid'));
  const file = join(directory, config);
  writeFileSync(file, text);
  const child = spawn(program, args(file), { stdio: 'ignore' });
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    const ready = await fetch(`${url}/readyz`).then(
      ({ status }) => status === 200,
      () => false,
    );
    if (ready) return url;
    await pause(100);
  }
}
