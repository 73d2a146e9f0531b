// One frozen Config from flags, environment and an optional JSON file (in this order of precedence), or a refusal
// to start that names the option, the value and the bound. Owns derived numbers and their assertions; nobody
// changes a config later. Before it: main.ts (argv, environment); after it: everything that is wired in app.ts.
import { readFileSync } from 'node:fs';
import { homedir, platform } from 'node:os';
import { join } from 'node:path';
import { kvBytesPerToken, type ModelSpec } from '../../models/spec.ts';
import { parsedJson } from '../base/json-text.ts';
import { keysOf } from './key-file.ts';
import { key } from './option-domains.ts';
import { CONFIG_FILE_OPTION, OPTION_NAMES, OPTIONS, type OptionName, type OptionValues } from './options.ts';
import { type ModelPreset, readPresets } from './presets.ts';

const KV_DISK_SIZE_MIN = 2 ** 24; // bytes
const KEY_COUNT_MAX = 256; // of --api-key-file
const KV_CACHE_SIZE = 2 ** 30; // bytes; of a model whose sequences need no more
const AUTO_CONTEXT_TOKENS = 16_384; // what an agent's prompt wants, of a model that can
const KV_ELEMENT_SIZES = { fp32: 4, int8: 1 } as const; // bytes
const PRESETS = 'models'; // in the config file only
const DEFAULT_THREADS = 2; // a laptop's cores are for its user first; more is a flag away

export interface Config
  extends Omit<
    OptionValues,
    | 'apiKeyFile'
    | 'adminKeyFile'
    | 'cacheDirectory'
    | 'invariance'
    | 'kvDiskDirectory'
    | 'outcomesDb'
    | 'threads'
  > {
  readonly invariance: 'none' | 'guesses' | 'full'; // resolved
  readonly cacheDirectory: string; // resolved
  readonly kvDiskDirectory: string; // resolved
  readonly outcomesDb: string | null; // path; null: off
  readonly threads: number; // of all replicas together
  readonly threadsPerReplica: number;
  readonly presets: readonly ModelPreset[]; // `models` of the config file
  readonly loopback: boolean; // `host` is reachable from this machine only
  readonly stepTokensMax: number; // tokens of one device step: a prefill chunk beside a full batch of decode rows
}

export interface ConfigSources {
  readonly flags: Readonly<Record<string, unknown>>; // by option name, and `config`; undefined = not given
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile?: (path: string) => string;
}

/** Refuses to start: which option, what was given and by whom, what would be accepted. */
export class ConfigError extends Error {
  readonly option: string;
  readonly value: unknown;
  readonly bound: string;

  constructor(fault: { option: string; value: unknown; bound: string; source: string }) {
    super(`${fault.option} = ${shown(fault.option, fault.value)} (${fault.source}): must be ${fault.bound}`);
    this.name = 'ConfigError';
    this.option = fault.option;
    this.value = fault.value;
    this.bound = fault.bound;
  }
}

/** Throws ConfigError on an unknown key, a value out of bounds, or numbers that contradict each other. */
export function loadConfig(sources: ConfigSources): Config {
  const file = readConfigFile(sources);
  checkNames(sources, file);
  const values: Record<string, unknown> = {};
  for (const name of OPTION_NAMES) values[name] = readOption(name, sources, file);
  const options = values as unknown as OptionValues;
  const cacheDirectory = options.cacheDirectory ?? userCacheDirectory(sources.env);
  const threads = options.threads ?? Math.max(DEFAULT_THREADS, options.replicas);
  const { apiKeyFile, adminKeyFile, ...others } = options;
  const config: Config = {
    ...others,
    threads,
    threadsPerReplica: Math.max(1, Math.floor(threads / options.replicas)),
    apiKeys: Object.freeze([
      ...options.apiKeys,
      ...keysFrom({ option: 'apiKeyFile', path: apiKeyFile, countMax: KEY_COUNT_MAX }, sources),
    ]),
    adminKey: adminKeyOf(options, sources),
    aliases: Object.freeze([...options.aliases]),
    lora: Object.freeze([...options.lora]),
    corsOrigins: Object.freeze([...options.corsOrigins]),
    trustedProxies: Object.freeze([...options.trustedProxies]),
    cacheDirectory,
    invariance: options.invariance ?? defaultInvariance(options),
    kvDiskDirectory: options.kvDiskDirectory ?? join(cacheDirectory, 'kv'),
    outcomesDb: outcomesPath(options.outcomesDb, cacheDirectory),
    presets: Object.freeze(
      readPresets(
        file.get(PRESETS),
        (option, value, bound) => new ConfigError({ option, value, bound, source: 'config file' }),
      ),
    ),
    loopback: isLoopback(options.host),
    stepTokensMax: options.prefillChunkTokens + options.slots,
  };
  checkAgreement(config);
  return Object.freeze(config);
}

/** Whether a device computes; all others are simulated. */
export function computes(backend: string): boolean {
  return backend === 'cpu' || backend === 'webgpu';
}

/** Whether answers are the model's: also a simulated device may be given them (--sim-text). */
export function answersAsModel({ backend, simText }: Pick<OptionValues, 'backend' | 'simText'>): boolean {
  return computes(backend) || (backend !== 'sim' && simText === 'model');
}

/** An answer that goes on at another node is computed there from text that its own node had partly drawn token by token. */
function defaultInvariance(options: OptionValues): Config['invariance'] {
  return options.cluster !== null && answersAsModel(options) ? 'full' : 'guesses';
}

/** The settings of another model than the server's own: what is said of the own one alone does not hold for it. */
export function presetConfig(config: Config, { values }: ModelPreset): Config {
  const own = { aliases: [], lora: [], lanes: null, draftModel: null, kvDiskSizeMax: 0 };
  const merged = { ...config, ...own, ...values };
  return Object.freeze({ ...merged, stepTokensMax: merged.prefillChunkTokens + merged.slots });
}

/** Numbers that need the model: what one sequence and the block store can hold. */
export interface ModelBounds {
  readonly contextTokens: number; // longest sequence
  readonly blockCount: number;
}

/** Bytes of KV of a token, as `--kv-precision` keeps it. */
export function kvTokenSize({ kvPrecision }: Pick<Config, 'kvPrecision'>, spec: ModelSpec): number {
  return kvBytesPerToken(spec, KV_ELEMENT_SIZES[kvPrecision]);
}

/** Bytes that KV blocks of this model may take. */
export function kvCacheSize(config: Config, spec: ModelSpec): number {
  if (config.kvCacheSizeMax !== null) return config.kvCacheSizeMax;
  const wanted = config.contextTokens ?? AUTO_CONTEXT_TOKENS;
  const blockCount = Math.ceil(Math.min(wanted, spec.contextLength) / config.blockSize);
  return Math.max(KV_CACHE_SIZE, blockCount * config.blockSize * kvTokenSize(config, spec));
}

/** Throws ConfigError if the model cannot live in these bounds. */
export function boundsForModel(config: Config, spec: ModelSpec): ModelBounds {
  const blockBytes = config.blockSize * kvTokenSize(config, spec);
  const cacheSize = kvCacheSize(config, spec);
  const blockCount = Math.floor(cacheSize / blockBytes);
  const storeTokens = blockCount * config.blockSize;
  const seatTokens = deviceSeatTokens(config, spec);
  const contextTokens = config.contextTokens ?? Math.min(spec.contextLength, storeTokens, seatTokens);
  if (contextTokens > spec.contextLength) {
    throw contradiction('contextTokens', contextTokens, `at most ${spec.contextLength}, the model's context`);
  }
  if (contextTokens > storeTokens || contextTokens < config.blockSize) {
    const needed = Math.ceil(Math.max(contextTokens, config.blockSize) / config.blockSize) * blockBytes;
    const bound = `at least ${needed} bytes, the KV of one sequence of ${contextTokens} tokens`;
    throw contradiction('kvCacheSizeMax', cacheSize, bound);
  }
  if (contextTokens > seatTokens || contextTokens < config.blockSize) {
    const tokens = Math.max(contextTokens, config.blockSize);
    const needed = tokens * seatCount(config) * kvBytesPerToken(spec, 4);
    const bound = `at least ${needed} bytes, the KV of ${config.slots} seats of ${tokens} tokens and a bench; --slots and --context-tokens make it less`;
    throw contradiction('deviceKvSizeMax', config.deviceKvSizeMax, bound);
  }
  return { contextTokens, blockCount };
}

/** Tokens that each seat of a device may have, whose memory is taken whole; on the cpu it is as it fills. */
function deviceSeatTokens(config: Config, spec: ModelSpec): number {
  if (config.backend !== 'webgpu') return Number.POSITIVE_INFINITY;
  return Math.floor(config.deviceKvSizeMax / (seatCount(config) * kvBytesPerToken(spec, 4)));
}

/** With the one that runs of single seats work in. */
function seatCount({ slots }: Config): number {
  return slots + 1;
}

/** The config as it is printed at start: keys are counted, never shown. */
export function describeConfig(config: Config): Readonly<Record<string, unknown>> {
  return { ...config, apiKeys: config.apiKeys.length, adminKey: config.adminKey !== null };
}

/** Null: no record is kept. */
export function outcomesPath(given: string, cacheDirectory: string): string | null {
  if (given === 'off') return null;
  return given === 'cache' ? join(cacheDirectory, 'outcomes.db') : given;
}

function readOption(name: OptionName, sources: ConfigSources, file: ReadonlyMap<string, unknown>): unknown {
  const option = OPTIONS[name];
  const flag = sources.flags[name];
  const env = sources.env[option.env];
  const given =
    flag !== undefined
      ? { value: flag, source: `--${option.flag}` }
      : env !== undefined && env !== '' // an empty variable is an unset one, as make and shells pass it on
        ? { value: env, source: option.env }
        : file.has(name)
          ? { value: file.get(name), source: 'config file' }
          : null;
  if (given === null) return option.default;
  const parsed = option.type.safeParse(given.value);
  if (parsed.success) return parsed.data;
  throw new ConfigError({ option: name, value: given.value, bound: option.bound, source: given.source });
}

interface KeyFile {
  readonly option: 'apiKeyFile' | 'adminKeyFile';
  readonly path: string | null;
  readonly countMax: number;
}

function keysFrom(
  { option, path, countMax }: KeyFile,
  { readFile = readText }: ConfigSources,
): readonly string[] {
  if (path === null) return [];
  const refused = (bound: string) => new ConfigError({ option, value: path, bound, source: 'file' });
  let content: string;
  try {
    content = readFile(path);
  } catch (error) {
    throw refused(`a readable file (${(error as Error).message})`);
  }
  const read = keysOf(content, key(), countMax);
  if (!read.ok) throw refused(read.bound);
  return read.keys;
}

function adminKeyOf({ adminKey, adminKeyFile }: OptionValues, sources: ConfigSources): string | null {
  const [fromFile] = keysFrom({ option: 'adminKeyFile', path: adminKeyFile, countMax: 1 }, sources);
  if (fromFile === undefined || adminKey === null) return adminKey ?? fromFile ?? null;
  throw contradiction('adminKeyFile', adminKeyFile, 'left out where --admin-key is given');
}

function readConfigFile(sources: ConfigSources): ReadonlyMap<string, unknown> {
  const path = sources.flags[CONFIG_FILE_OPTION.flag] ?? sources.env[CONFIG_FILE_OPTION.env];
  if (path === undefined || path === '') return new Map();
  const fault = (bound: string) => new ConfigError({ option: 'config', value: path, bound, source: 'file' });
  if (typeof path !== 'string') throw fault('the path of a JSON file');
  let content: string;
  try {
    content = (sources.readFile ?? readText)(path);
  } catch (error) {
    throw fault(`a readable file (${(error as Error).message})`);
  }
  const parsed = parsedJson(content, (reason) => fault(`a file of valid JSON (${reason})`));
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw fault('a file with one JSON object');
  return new Map(Object.entries(parsed));
}

function checkNames(sources: ConfigSources, file: ReadonlyMap<string, unknown>): void {
  const names = new Set<string>(OPTION_NAMES);
  const variables = new Set<string>([CONFIG_FILE_OPTION.env]);
  for (const name of OPTION_NAMES) variables.add(OPTIONS[name].env);
  const unknown = (option: string, value: unknown, source: string) =>
    new ConfigError({ option, value, source, bound: 'a known option (see sparklane serve --help)' });
  for (const [name, value] of Object.entries(sources.flags)) {
    if (value === undefined || names.has(name) || name === CONFIG_FILE_OPTION.flag) continue;
    throw unknown(name, value, 'flag');
  }
  for (const [name, value] of Object.entries(sources.env)) {
    if (name.startsWith('SPARKLANE_') && !variables.has(name)) throw unknown(name, value, 'environment');
  }
  for (const [name, value] of file) {
    if (!names.has(name) && name !== PRESETS) throw unknown(name, value, 'config file');
  }
}

function checkAgreement(config: Config): void {
  if (!config.loopback && config.apiKeys.length === 0) {
    throw contradiction('host', config.host, 'a loopback address, unless --api-key or --api-key-file is set');
  }
  if (config.adminKey !== null && config.apiKeys.includes(config.adminKey)) {
    throw contradiction('adminKey', config.adminKey, 'a key of its own, none of the API keys');
  }
  if (config.prefillChunkTokens % config.blockSize !== 0) {
    const bound = `a multiple of blockSize (${config.blockSize})`; // chunks end where blocks end, whatever the load
    throw contradiction('prefillChunkTokens', config.prefillChunkTokens, bound);
  }
  if (config.kvEvents === null && config.kvEventsReplay !== null) {
    throw contradiction('kvEventsReplay', config.kvEventsReplay, 'none, unless --kv-events is set');
  }
  if (config.streamBufferSizeMax * 2 > config.sendBufferSizeMax) {
    const bound = `at most half of sendBufferSizeMax (${config.sendBufferSizeMax}): pausing must come before closing`;
    throw contradiction('streamBufferSizeMax', config.streamBufferSizeMax, bound);
  }
  if (config.kvDiskSizeMax > 0 && config.kvDiskSizeMax < KV_DISK_SIZE_MIN) {
    const bound = `0, or at least ${KV_DISK_SIZE_MIN}: less does not hold one conversation`;
    throw contradiction('kvDiskSizeMax', config.kvDiskSizeMax, bound);
  }
  if (config.threads < config.replicas) {
    throw contradiction('threads', config.threads, `at least one per replica (${config.replicas})`);
  }
}

function contradiction(option: string, value: unknown, bound: string): ConfigError {
  return new ConfigError({ option, value, bound, source: 'against other options' });
}

/** 127.0.0.0/8, ::1 and localhost; every other name may resolve to anything. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Where things are kept that can be made again, without `--cache-directory`. */
export function userCacheDirectory(env: ConfigSources['env']): string {
  if (env['XDG_CACHE_HOME']) return join(env['XDG_CACHE_HOME'], 'sparklane');
  const home = env['HOME'] || homedir();
  if (platform() === 'darwin') return join(home, 'Library', 'Caches', 'sparklane');
  if (platform() === 'win32' && env['LOCALAPPDATA']) return join(env['LOCALAPPDATA'], 'sparklane', 'cache');
  return join(home, '.cache', 'sparklane');
}

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}

/** Values are quoted in full except keys: a refusal may end up in a log. */
function shown(option: string, value: unknown): string {
  return option === 'apiKeys' || option === 'adminKey' || option.includes('KEY')
    ? '(hidden)'
    : JSON.stringify(value);
}
