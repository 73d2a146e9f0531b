// report.json against its schema, for every kind of campaign; and what else is made of a report: JUnit, the server's metrics.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterEach, expect, test } from 'vitest';
import { runLoadtest } from '../../../../../loadtest/main.ts';
import { junitXml } from '../../../../../loadtest/measure/report/junit.ts';
import { reportJsonSchema, reportSchema } from '../../../../../loadtest/measure/runs/report-schema.ts';
import { parseMetrics } from '../../../../../loadtest/measure/runs/scrape.ts';
import { MemoryIo } from '../../../../memory-io.ts';
import { type Answer, ScriptedServer } from '../../../../sse-server.ts';

let server: ScriptedServer | null = null;
afterEach(async () => {
  await server?.stop();
  server = null;
});

const virtual = [
  '--in-process',
  '--temperature',
  '0',
  '--workload',
  'synthetic',
  '--isl',
  '40',
  '--osl',
  '8',
];

async function loadtest(args: readonly string[]): Promise<{ io: MemoryIo; json: Record<string, unknown> }> {
  const io = new MemoryIo();
  await runLoadtest([...args, '--out', 'out'], io);
  if (!io.files.has('out/report.json')) throw new Error(io.notes);
  return { io, json: JSON.parse(io.files.get('out/report.json')!) as Record<string, unknown> };
}

const validate = new Ajv2020({ strict: false }).compile(reportJsonSchema() as object);

test.each([
  ['a run', ['--load', 'poisson:4', '--duration', '5s', '--gate', 'good>=1%'], 'sparklane loadtest run'],
  ['a sweep', ['--load', 'closed:1', '--sweep', '1,2', '--duration', '800ms'], 'sparklane loadtest sweep'],
  [
    'two sweeps',
    ['--sweep', 'concurrency:1,2; rate:2,4', '--duration', '800ms'],
    'sparklane loadtest sweeps',
  ],
  [
    'a capacity search',
    ['--load', 'poisson:1', '--capacity', '1..2', '--tolerance', '90%', '--duration', '800ms'],
    'sparklane loadtest sweep',
  ],
  ['a comparison', ['--ab', 'completions', '--blocks', '2'], 'sparklane loadtest comparison'],
])('%s is as its schema says', async (_, args, format) => {
  const { io, json } = await loadtest([...virtual, ...args]);
  expect(json['format']).toBe(format);
  expect(reportSchema.safeParse(json).error?.issues ?? []).toEqual([]);
  expect([validate(json), validate.errors]).toEqual([true, null]);
  expect(validate({ ...json, surprise: 1 })).toBe(false);
  if (format.includes('sweep')) {
    expect(io.files.get('out/report.html')).toMatch(/<h2>Throughput against (users|sessions\/s)<\/h2>/);
    expect(io.files.get('out/report.html')!.match(/<h2>E2E and TPOT against/g)).toHaveLength(
      format.endsWith('sweeps') ? 2 : 1,
    );
  }
});

test('--schema prints it', async () => {
  const io = new MemoryIo();
  await runLoadtest(['--schema'], io);
  expect(JSON.parse(io.written)).toEqual(reportJsonSchema());
});

test('JUnit has a case for validity, for the end and for each gate', () => {
  const xml = junitXml({
    ...{ name: 'a <b>', seconds: 2, validity: { isVoid: true, reasons: ['late & long'] }, stopReason: null },
    gates: [
      { text: 'good>=99%', passed: true, reason: 'fine' },
      { text: 'p95(e2e)<1s', passed: false, reason: 'no "interval"\u0007' },
    ],
  });
  expect(xml).toContain('<testsuite name="a &lt;b&gt;" tests="4" failures="2" errors="0" time="2.000">');
  expect(xml).toContain('<failure message="late &amp; long"/>');
  expect(xml).toContain('name="gate good&gt;=99%"/>');
  expect(xml).toContain('<failure message="no &quot;interval&quot; "/>');
});

test('Prometheus text is read with its labels and kinds', () => {
  const text = [
    ...[
      '# HELP a_total x',
      '# TYPE a_total counter',
      'a_total{k="v 1"} 5',
      'a_bucket{le="1"} 3',
      'a_sum 7.5 1700000000',
    ],
    ...['# TYPE g gauge', 'g NaN', 'g 1e3', 'nonsense', ''],
  ].join('\n');
  expect([...parseMetrics(text)]).toEqual([
    { name: 'a_total{k="v 1"}', kind: 'counter', value: 5 },
    { name: 'a_sum', kind: 'untyped', value: 7.5 },
    { name: 'g', kind: 'gauge', value: 1000 },
  ]);
});

const refusing: Answer = (request, answer) => {
  if (request.path === '/metrics') answer.respond(200, '# TYPE asked_total counter\nasked_total 3\n');
  else answer.respond(500, { error: { message: 'broken' } });
};
const socketRun = [
  '--target',
  'chat',
  '--model',
  'tiny',
  '--workload',
  'synthetic',
  '--isl',
  '9',
  '--osl',
  '2',
];

test('a run ends where too much fails, says so, and fails; the server’s metrics stand beside', async () => {
  server = await ScriptedServer.start(refusing);
  const io = new MemoryIo();
  const args = [
    '--url',
    server.url,
    '--load',
    'constant:200',
    '--duration',
    '60s',
    '--warmup',
    '0s',
    '--abort',
    '30%',
  ];
  await runLoadtest([...socketRun, ...args, '--scrape', '--out', 'out', '--junit', 'ci/junit.xml'], io);
  expect(io.written).toMatch(/PARTIAL, aborted: \d+ of the latest \d+ turns failed/);
  expect(io.exitCode).toBe(1);
  const json = JSON.parse(io.files.get('out/report.json')!) as { serverMetrics: { series: object[] } };
  expect(reportSchema.safeParse(json).success).toBe(true);
  expect(json.serverMetrics.series).toMatchObject([{ name: 'asked_total', kind: 'counter', last: 3 }]);
  expect(io.files.get('ci/junit.xml')).toMatch(/the run went to its end"><failure message="aborted/);
});

test.each([
  ['', '/v1/metrics'],
  ['/api/v1/otlp/v1/metrics', '/api/v1/otlp/v1/metrics'],
])('a collector at %j is told every run as OpenTelemetry metrics', async (base, path) => {
  server = await ScriptedServer.start((_, answer) => answer.respond(200, {}));
  const { io } = await loadtest([
    ...virtual,
    '--load',
    'poisson:20',
    '--duration',
    '3s',
    '--otlp',
    `${server.url}${base}`,
  ]);
  expect(io.notes).not.toMatch(/--otlp/);
  const [told] = server.requests;
  expect([told!.path, told!.headers['content-type']]).toEqual([path, 'application/json']);
  const [{ resource, scopeMetrics }] = told!.body['resourceMetrics'] as [
    {
      resource: { attributes: object[] };
      scopeMetrics: [{ metrics: { name: string; gauge: { dataPoints: { asDouble: number }[] } }[] }];
    },
  ];
  expect(resource.attributes).toContainEqual({
    key: 'service.name',
    value: { stringValue: 'sparklane-loadtest' },
  });
  const { metrics } = scopeMetrics[0];
  const turns = metrics.find(({ name }) => name === 'sparklane.loadtest.turns')!;
  expect(turns.gauge.dataPoints[0]!.asDouble).toBeGreaterThan(50);
  const latency = metrics.find(({ name }) => name === 'sparklane.loadtest.latency')!;
  expect(latency.gauge.dataPoints).toContainEqual(
    expect.objectContaining({
      attributes: [
        { key: 'latency', value: { stringValue: 'ttft' } },
        { key: 'quantile', value: { stringValue: '0.9' } },
      ],
    }),
  );
});

test('a collector that is not there costs a line', async () => {
  const { io } = await loadtest([
    ...virtual,
    '--load',
    'poisson:4',
    '--duration',
    '1s',
    '--otlp',
    'http://127.0.0.1:9',
  ]);
  expect(io.notes).toMatch(/--otlp http:\/\/127\.0\.0\.1:9: .*ECONNREFUSED/);
  expect(io.exitCode).toBe(0);
});
