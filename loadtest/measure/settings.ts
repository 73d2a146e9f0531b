// Settings: what the person asked for, parsed once from the flags; everything behind it trusts them. Pure.
import { jsonValue } from '../../server/base/json-text.ts';
import { FlagError } from '../base/flag-error.ts';
import { type Load, parseLoad } from '../workload/arrival.ts';
import { entryOf } from '../workload/catalog.ts';
import { parseLengths } from '../workload/lengths.ts';
import { FlagReader } from './flag-reader.ts';
import { parseSlo } from './play/slo.ts';
import { parseGates } from './runs/gate.ts';
import { parseAddress, type ServerAddress } from './wires/address.ts';
import { parseTargetKind, type TargetKind } from './wires/catalog.ts';
import { type Connection, readCa } from './wires/connection.ts';
import { PLAIN_ROUTE_NAMES, parseRoute } from './wires/whole-routes.ts';

export interface TargetSettings {
  readonly kind: TargetKind;
  readonly address: ServerAddress | null; // null: in process
}

export type Settings = Readonly<ReturnType<typeof parseSettings>>;

/** Runs of one kind of load, one after the other. */
export interface SweepSettings {
  readonly load: Load;
  readonly values: readonly number[];
}

export type Flags = Readonly<Record<string, unknown>>;

const DEFAULT_URL = 'http://127.0.0.1:8080';
const WHOLE_KINDS: readonly string[] = ['embeddings', ...PLAIN_ROUTE_NAMES]; // no tokens to time
const TURNS_MAX = 10_000; // of one synthetic session
const WARMUP_SHARE = 0.1; // of the duration
const WARMUP_MS_MAX = 30_000;

function optionalAddress(flag: string, text: string | null): ServerAddress | null {
  return text === null ? null : parseAddress(flag, text);
}

/** Throws FlagError with the flag, what was given and what would have been taken. */
export function parseSettings(flags: Flags) {
  const read = new FlagReader(flags);
  const route = read.text('routes');
  const workload = read.text('workload') ?? (route === null ? 'agent-sessions' : 'ping');
  const entry = entryOf(workload);
  const url = parseAddress('url', read.text('url') ?? DEFAULT_URL);
  const durationMs = someTime('duration', read.timeMs('duration')) ?? entry.durationMs;
  const { capacityText, sweepText, abText } = experimentOf(read, flags['ab'] === true);
  const inProcess = flags['inProcess'] === true || read.text('device') !== null;
  const address = inProcess ? null : url;
  const kind =
    route === null ? parseTargetKind('target', read.text('target') ?? 'native') : parseRoute(route);
  const load = parseLoad(routeLoad(read, route) ?? read.text('load') ?? entry.load);
  const autoWarmup = read.text('warmup') === 'auto';
  const warmupMs = autoWarmup
    ? 0
    : (read.timeMs('warmup') ?? Math.min(WARMUP_MS_MAX, durationMs * WARMUP_SHARE));
  if (warmupMs >= durationMs)
    throw new FlagError('warmup', String(read.text('warmup')), 'less than --duration');
  return {
    target: { kind, address },
    inProcess: inProcess
      ? { device: read.text('device') ?? 'sim', virtual: flags['wallClock'] !== true }
      : null,
    other: abText === null ? null : parseOther(abText, address), // B of a comparison
    apiKey: read.text('apiKey'),
    headers: parseHeaders(read.texts('header')),
    connection: parseConnection(read, flags['insecure'] === true),
    model: read.text('model'), // null: the server's first
    tokenizer: read.text('tokenizer'),
    as: read.choice('content', ['text', 'tokens', 'messages'] as const) ?? 'text',
    temperature: read.number('temperature', 0, 100),
    plain: flags['plain'] === true,
    extraBody: parseBody(read.text('body')),
    workload,
    ...parseContent(read),
    load,
    durationMs,
    sessionsMax: read.integer('sessions', 1, 1e9) ?? Number.POSITIVE_INFINITY,
    warmupMs,
    leadMs: read.timeMs('lead') ?? 250,
    turnTimeoutMs: someTime('timeout', read.timeMs('timeout')) ?? 120_000,
    sessionsInFlightMax: read.integer('inFlight', 1, 100_000) ?? 4096,
    flags, // as they came, for the threads
    workers: parseWorkers(read, inProcess || abText !== null), // threads that play; more than one: this one counts only
    seed: read.integer('seed', 0, 0xffff_ffff) ?? 1,
    ...parseJudging(read, kind),
    sweeps: sweepText === null ? [] : sweepText.split(';').map((part) => parseSweep(part.trim(), load)),
    capacity: capacityText === null ? null : parseRange(capacityText),
    autoWarmup,
    otlp: optionalAddress('otlp', read.text('otlp')), // collector that every run is told to
    remoteWrite: optionalAddress('remote-write', read.text('remoteWrite')), // likewise, as Prometheus writes to others
    scrape: flags['scrape'] === true ? '/metrics' : read.text('scrape'), // route of the server's own metrics
    outDirectory: read.text('out'),
    showLive: flags['live'] !== false,
  };
}

/** At most one of them is given. */
function experimentOf(read: FlagReader, isPlainAb: boolean) {
  const capacityText = read.text('capacity');
  const sweepText = read.text('sweep');
  const abText = isPlainAb ? 'completions' : read.text('ab');
  if ([capacityText, sweepText, abText].filter((text) => text !== null).length > 1) {
    const given = capacityText ?? sweepText ?? '';
    throw new FlagError('capacity', given, 'one of --sweep, --capacity and --ab at a time');
  }
  return { capacityText, sweepText, abText };
}

const WORKERS_MAX = 32;

function parseWorkers(read: FlagReader, alone: boolean): number {
  const workers = read.integer('workers', 1, WORKERS_MAX) ?? 1;
  if (workers > 1 && alone) throw new FlagError('workers', String(workers), '1 with --in-process and --ab');
  return workers;
}

/** What is good, what is searched for, and what is proven. */
function parseJudging(read: FlagReader, kind: TargetKind) {
  return {
    slo: parseSlo(read.text('slo') ?? (WHOLE_KINDS.includes(kind) ? 'e2e<1s' : 'ttft<1s,stall<500ms')),
    voidShare: read.share('voidShare') ?? 0.1,
    abortShare: someShare('abort', read.share('abort')),
    goal: someShare('goal', read.share('goal')) ?? 0.95,
    tolerance: someShare('tolerance', read.share('tolerance')) ?? 0.05,
    repeats: oddRepeats(read.integer('repeats', 1, 99) ?? 3),
    blocks: read.integer('blocks', 2, 10_000) ?? 12,
    gates: parseGates(read.text('gate') ?? ''),
    junitPath: read.text('junit'),
  };
}

/** What the workload is made of. */
function parseContent(read: FlagReader) {
  return {
    tracePath: read.text('trace'),
    promptsPath: read.text('prompts'),
    scale: read.number('scale', 1, 1e6),
    contextTokens: read.integer('context', 16, 100_000_000) ?? 8192,
    gapScale: read.number('gapScale', 1e-3, 1e9) ?? 20,
    gapMsMax: read.timeMs('gapMax') ?? 10_000,
    editFormat: read.choice('editFormat', ['rewrite', 'diff', 'search-replace'] as const) ?? 'rewrite',
    fileTokens: read.numbers('fileTokens', 1, 1e7) ?? [500, 2000, 8000],
    promptLengths: parseLengths('isl', read.text('isl') ?? '1000'),
    outputLengths: parseLengths('osl', read.text('osl') ?? '128'),
    prefixShare: read.share('prefixShare') ?? 0,
    turns: parseTurns(read.text('turns') ?? '1'),
    interruptShare: read.share('interrupts'),
    steerShare: read.share('steers'),
  };
}

/** `completions` on the same server, or `chat@http://host:port`. */
function parseOther(text: string, address: ServerAddress | null): TargetSettings {
  const at = text.indexOf('@');
  if (at === -1) return { kind: parseTargetKind('ab', text), address };
  const kind = parseTargetKind('ab', text.slice(0, at));
  return { kind, address: parseAddress('ab', text.slice(at + 1)) };
}

/** Of --routes: so many connections that never pause, or so many requests per second. */
function routeLoad(read: FlagReader, route: string | null): string | null {
  const connections = read.integer('connections', 1, 100_000);
  const rate = read.number('rate', 1e-6, 1e6);
  if (route === null) {
    if (connections !== null) throw new FlagError('connections', String(connections), '--routes beside it');
    if (rate !== null)
      throw new FlagError('rate', String(rate), '--routes beside it, or --load constant:RATE');
    return null;
  }
  if (rate !== null && connections !== null && !read.flag('autocannon')) {
    const expected = 'no --rate beside it: that opens what it needs (--autocannon takes both)';
    throw new FlagError('connections', String(connections), expected);
  }
  if (rate !== null) return `constant:${rate}`;
  return connections === null ? null : `closed:${connections}`;
}

function parseHeaders(lines: readonly string[]): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(line);
    const name = match?.[1]?.toLowerCase();
    if (name === undefined) throw new FlagError('header', line, "'Name: value'");
    if (['content-length', 'transfer-encoding', 'connection', 'upgrade'].includes(name)) {
      throw new FlagError('header', line, 'none of those that the connection itself is made with');
    }
    headers[name] = match![2]!;
  }
  return headers;
}

function parseConnection(read: FlagReader, insecure: boolean): Connection {
  const proxy = read.text('proxy');
  const url = proxy !== null && URL.canParse(proxy) ? new URL(proxy) : null;
  if (proxy !== null && (url === null || !/^https?:$/.test(url.protocol))) {
    throw new FlagError('proxy', proxy, 'an HTTP proxy, such as http://proxy:3128');
  }
  const ca = read.text('ca');
  return { proxy, ca: ca === null ? null : readCa(ca), insecure };
}

function parseBody(text: string | null): Readonly<Record<string, unknown>> {
  if (text === null) return {};
  const value = jsonValue(text);
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new FlagError('body', text, 'a JSON object, such as {"temperature":0}');
}

/** `1,2,4` of the --load's kind, or of one of its own: `concurrency:1,2,4`, `rate:0.5,1`. */
function parseSweep(text: string, load: Load): SweepSettings {
  const [, kind, list] = /^(?:(concurrency|rate):)?(.*)$/.exec(text)!;
  const values = list!.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (!values.every((value) => value >= 1e-6 && value <= 1e6)) {
    throw new FlagError('sweep', text, 'numbers separated by commas, or concurrency:…; rate:…');
  }
  if (kind === 'concurrency') return { load: { kind: 'closed', users: 1 }, values };
  const hasRate = load.kind !== 'closed' && load.kind !== 'trace';
  if (kind === 'rate') return { load: hasRate ? load : { kind: 'poisson', perSecond: 1 }, values };
  return { load, values };
}

function parseTurns(text: string): { min: number; max: number } {
  const lengths = parseLengths('turns', text);
  if ('kind' in lengths || lengths.max > TURNS_MAX)
    throw new FlagError('turns', text, `COUNT or MIN..MAX, up to ${TURNS_MAX}`);
  return lengths;
}

function parseRange(text: string): { low: number; high: number } {
  const [low, high] = text.split('..').map(Number);
  if (low === undefined || high === undefined || !(low > 0) || !(high > low)) {
    throw new FlagError('capacity', text, 'LOW..HIGH, loads above 0');
  }
  return { low, high };
}

// Where none would mean nothing, or no end: `--abort 0%`, `--tolerance 0%`.
function someShare(name: string, share: number | null): number | null {
  if (share === 0) throw new FlagError(name, '0', 'a share above 0, such as 5%');
  return share;
}

// In no time nothing is sent, and nothing answers.
function someTime(name: string, ms: number | null): number | null {
  if (ms !== null && ms < 1) throw new FlagError(name, `${ms}ms`, 'a time of 1ms at least');
  return ms;
}

function oddRepeats(count: number): number {
  if (count % 2 === 0) throw new FlagError('repeats', String(count), 'an odd number: the majority decides');
  return count;
}
