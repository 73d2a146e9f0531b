// A plain route driven by autocannon instead of our driver: an instrument that others made, to compare with. In a closed loop of
// connections or at a rate; it has no sessions, gates, proxies or reports. Used by command.ts.
import autocannon from 'autocannon';
import { FlagError } from '../base/flag-error.ts';
import type { LoadtestIo } from './io.ts';
import type { Settings } from './settings.ts';
import { probe } from './stage.ts';
import { headersOf } from './wires/catalog.ts';
import { PLAIN_ROUTES, parseRoute } from './wires/whole-routes.ts';

/** What it can do of what the load tester can; whatever else is asked for is refused. */
const FLAGS = [
  ...['autocannon', 'routes', 'connections', 'rate', 'url', 'apiKey', 'header', 'insecure', 'model'],
  ...['duration', 'timeout', 'out', 'live'],
];

interface AutocannonReport {
  readonly format: 'sparklane loadtest autocannon';
  readonly route: string;
  readonly url: string;
  readonly load: string;
  readonly seconds: number;
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly latencyMs: Readonly<Record<'p50' | 'p90' | 'p99' | 'max', number>>; // of autocannon, in whole ms
  readonly failures: number; // no 2xx, errors and time-outs
}

/** Resolves with the exit code: 1 where not one request was answered. Rejects with FlagError and ProbeError. */
export async function runAutocannon(settings: Settings, io: LoadtestIo): Promise<number> {
  const { address, route, sending } = planOf(settings);
  const apiKey = settings.apiKey ?? io.apiKey;
  const headers = headersOf({ apiKey, headers: settings.headers });
  const { method, path, body } = PLAIN_ROUTES[route];
  const hasBody = method === 'POST';
  const model = settings.model ?? (hasBody ? (await probe(settings, apiKey)).model : '');
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const options = {
      ...{ url: `${address.origin}${address.pathOf(path)}`, method, ...sending },
      headers: { ...(hasBody && { 'content-type': 'application/json' }), ...headers },
      ...(hasBody && { body: JSON.stringify({ ...body, model }) }),
      timeout: wholeSeconds('timeout', settings.turnTimeoutMs),
    };
    const instance = autocannon(options, (error, ended) => {
      ignore();
      if (error) reject(error as Error);
      else resolve(ended);
    });
    const ignore = io.onInterrupt(() => (instance as unknown as { stop(): void }).stop());
  });
  const { p50, p90, p99, max } = result.latency;
  const report: AutocannonReport = {
    ...{ format: 'sparklane loadtest autocannon', route, url: address.text, load: loadText(sending) },
    ...{ seconds: result.duration, requests: result.requests.total },
    requestsPerSecond: result.requests.total / result.duration,
    ...{ latencyMs: { p50, p90, p99, max }, failures: result.non2xx + result.errors }, // time-outs are errors
  };
  io.write(textOf(report));
  if (settings.outDirectory !== null) {
    const file = io.openFile(settings.outDirectory, 'autocannon.json');
    file.append(`${JSON.stringify(report, null, 2)}\n`);
    file.close();
  }
  return result['2xx'] === 0 ? 1 : 0;
}

function planOf({ flags, target: { kind, address }, connection, load, durationMs }: Settings) {
  if (flags['routes'] === undefined) throw new FlagError('autocannon', '', '--routes beside it');
  for (const [name, value] of Object.entries(flags)) {
    if (!FLAGS.includes(name) && !(Array.isArray(value) && value.length === 0))
      throw new FlagError('autocannon', name, 'autocannon has no such option; leave one of them out');
  }
  if (address!.origin.startsWith('https:') && !connection.insecure)
    throw new FlagError(
      'autocannon',
      address!.text,
      '--insecure with https: autocannon checks no certificates',
    );
  const duration = wholeSeconds('duration', durationMs);
  if (load.kind === 'closed')
    return { address: address!, route: parseRoute(kind), sending: { connections: load.users, duration } };
  if (load.kind !== 'constant' || load.perSecond < 1 || !Number.isInteger(load.perSecond))
    throw new FlagError('rate', String(flags['rate']), 'whole requests per second with --autocannon');
  const connections = Number(flags['connections'] ?? 8);
  const sending = { connections, duration, overallRate: load.perSecond };
  return { address: address!, route: parseRoute(kind), sending };
}

function wholeSeconds(flag: string, ms: number): number {
  const seconds = ms / 1000;
  if (seconds < 1 || !Number.isInteger(seconds))
    throw new FlagError(flag, `${seconds}s`, 'whole seconds with --autocannon');
  return seconds;
}

function loadText({ connections, overallRate }: { connections: number; overallRate?: number }): string {
  const loop = `${connections} connections`;
  if (overallRate === undefined) return `${loop}, each sends when its last answer is there`;
  return `${overallRate} requests/s over ${loop}, latencies corrected for coordinated omission`;
}

function textOf({ route, url, load, ...report }: AutocannonReport): string {
  const { p50, p90, p99, max } = report.latencyMs;
  return [
    `${route} at ${url} by autocannon: ${load}`,
    `  requests   ${report.requests} in ${report.seconds} s, ${Math.round(report.requestsPerSecond)}/s`,
    `  latency    p50 ${p50} ms, p90 ${p90}, p99 ${p99}, longest ${max}`,
    `  failures   ${report.failures}`,
    '',
  ].join('\n');
}
