// Plain routes by autocannon: a real server, and what it cannot do refused.
import { afterEach, expect, test } from 'vitest';
import { runLoadtest } from '../../loadtest/main.ts';
import { MemoryIo } from '../memory-io.ts';
import { type Answer, ScriptedServer } from '../sse-server.ts';

let server: ScriptedServer | null = null;
afterEach(async () => {
  await server?.stop();
  server = null;
});

async function played(answer: Answer, args: readonly string[]) {
  server = await ScriptedServer.start(answer);
  const io = new MemoryIo();
  const common = [
    '--autocannon',
    '--duration',
    '1s',
    '--url',
    `${server.url}/openai/v1`,
    '--api-key',
    'secret',
  ];
  await runLoadtest([...common, '--header', 'x-team: red', '--out', 'out', ...args], io);
  return { io, report: JSON.parse(io.files.get('out/autocannon.json') ?? 'null') };
}

test('every request is counted, with the key, the headers and the place of the route', async () => {
  const { io, report } = await played((_, answer) => answer.respond(200, {}), ['--routes', 'models']);
  expect(io.exitCode).toBe(0);
  expect(report).toMatchObject({ format: 'sparklane loadtest autocannon', route: 'models', failures: 0 });
  expect(report.requests).toBeGreaterThan(0);
  // Those that were on their way at the end are asked and not counted.
  expect(server!.requests.length - report.requests).toBeGreaterThanOrEqual(0);
  expect(server!.requests.length - report.requests).toBeLessThanOrEqual(8);
  for (const { path, headers } of server!.requests) {
    expect(path).toBe('/openai/v1/models');
    expect(headers).toMatchObject({ authorization: 'Bearer secret', 'x-team': 'red' });
  }
  expect(io.written).toContain(`${report.requests} in ${report.seconds} s`);
});

test('a rate is kept to, a body names the first model, and failures are counted', async () => {
  const answer: Answer = ({ path }, response) =>
    path.endsWith('/models')
      ? response.respond(200, { data: [{ id: 'tiny', owned_by: 'ada' }] })
      : response.respond(503, {});
  const { io, report } = await played(answer, [
    '--routes',
    'completion',
    '--rate',
    '20',
    '--connections',
    '2',
  ]);
  expect(io.exitCode).toBe(1); // not one was answered
  expect(report.load).toContain('20 requests/s over 2 connections');
  expect(report.failures).toBeGreaterThan(0);
  const asked = server!.requests.filter(({ path }) => path === '/openai/v1/completions');
  expect(asked[0]!.body).toMatchObject({ model: 'tiny', stream: false });
});

test.each([
  [['--autocannon'], '--routes beside it'],
  [
    ['--autocannon', '--routes', 'health', '--proxy', 'http://127.0.0.1:3128'],
    'autocannon has no such option',
  ],
  [['--autocannon', '--routes', 'health', '--gate', 'p95(e2e)<1s'], 'autocannon has no such option'],
  [['--autocannon', '--routes', 'health', '--in-process'], 'autocannon has no such option'],
  [['--autocannon', '--routes', 'health', '--url', 'https://127.0.0.1:1'], 'checks no certificates'],
  [['--autocannon', '--routes', 'health', '--rate', '0.5'], 'whole requests per second'],
  [['--autocannon', '--routes', 'health', '--duration', '1500ms'], 'whole seconds'],
])('%j is refused', async (args, words) => {
  const io = new MemoryIo();
  await runLoadtest(args, io);
  expect(io.exitCode).toBe(2);
  expect(io.notes).toContain(words);
});
