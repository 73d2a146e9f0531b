// The program under other Nodes than this one: OTHER_NODES=path:path names them, each a `node` to run. A whole server, a
// chat over HTTP, a conversation over the WebSocket, a clean end, on either listener.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';
import { env } from 'node:process';
import { afterEach, expect, test } from 'vitest';
import { NativeClient } from '../../server/client/client.ts';
import { webSocketTo } from '../../server/client/web-socket.ts';
import { programFile } from '../built-program.ts';
import { builtGraphs } from '../run-folders.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const root = join(import.meta.dirname, '../..');
const directory = temporaryDirectory();
const nodes = (env['OTHER_NODES'] ?? '').split(delimiter).filter((path) => path !== '');
if (nodes.length === 0) console.log('skipped: no other Node; OTHER_NODES=path:path names some');

let child: ChildProcess | null = null;

afterEach(() => {
  child?.kill('SIGKILL');
});

/** What the program writes to one stream, as it comes. */
function collect(stream: NodeJS.ReadableStream): { text: string } {
  const written = { text: '' };
  stream.setEncoding('utf8').on('data', (piece: string) => {
    written.text += piece;
  });
  return written;
}

// Without another Node one row stands for them, or the file would have no test at all.
const rows = (nodes.length === 0 ? ['another Node'] : nodes).flatMap((node) => [
  { node, listener: 'auto' },
  { node, listener: 'node' },
]);
test.skipIf(nodes.length === 0).each(rows)(
  '$node, --listener $listener, serves a chat, a stream and a WebSocket',
  async ({ node, listener }) => {
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
    const flags = [
      '--port',
      '0',
      '--model',
      'spark-nano',
      '--threads',
      '1',
      '--log-level',
      'warn',
      '--listener',
      listener,
    ];
    const started = spawn(node, [programFile('sparklane.ts'), 'serve', ...flags], {
      cwd: root,
      env: { PATH: env['PATH'], HOME: directory, SPARKLANE_CACHE: builtGraphs() },
    });
    child = started;
    const exit = once(started, 'close').then(([code]) => code as number | null);
    const out = collect(started.stdout);
    const err = collect(started.stderr);
    while (!out.text.includes('try ')) {
      const ended = await Promise.race([
        once(started.stdout, 'data').then(() => false),
        exit.then(() => true),
      ]);
      if (ended) throw new Error(`${version} ended early: ${err.text}`);
    }
    const url = /url\s+(\S+)/.exec(out.text)![1]!;
    const ask = (body: object) =>
      fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ prompt: 'const a =', max_tokens: 8, temperature: 0, ...body }),
      });
    const whole = (await (await ask({})).json()) as { choices: { text: string }[] };
    const text = whole.choices[0]!.text;
    expect(text.length).toBeGreaterThan(0);
    const events = (await (await ask({ stream: true })).text()).split('\n\n').filter((event) => event !== '');
    expect(events.at(-1)).toBe('data: [DONE]');
    const pieces = events.slice(0, -1).map((event) => JSON.parse(event.replace(/^data: /, '')));
    expect(pieces.map(({ choices }) => choices[0]?.text ?? '').join('')).toBe(text);
    const client = await NativeClient.connect(
      webSocketTo(url, { apiKey: null, frameSizeMax: 2 ** 20, connectTimeoutMs: 180_000 }),
    );
    const session = client.open();
    await session.append({ text: 'const a =' });
    const drawn: number[] = [];
    await session.generate({ maxTokens: 8 }, ({ tokens }) => void drawn.push(...tokens)).end;
    expect(drawn.length).toBeGreaterThan(0);
    client.close();
    started.kill('SIGTERM');
    expect([version, await exit]).toEqual([version, 0]);
    expect(err.text).not.toMatch(/deprecat|ExperimentalWarning/i);
  },
  180_000,
);
