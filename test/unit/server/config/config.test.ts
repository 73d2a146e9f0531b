import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { kvBytesPerToken, type ModelSpec, plainDecoder } from '../../../../models/spec.ts';
import {
  boundsForModel,
  type Config,
  ConfigError,
  describeConfig,
  isLoopback,
  kvCacheSize,
  loadConfig,
} from '../../../../server/config/config.ts';
import { OPTION_NAMES, OPTIONS } from '../../../../server/config/options.ts';

const home = { HOME: '/home/ada' };

function load(flags: Record<string, unknown>, env: Record<string, string> = {}, file?: unknown): Config {
  const withFile = file === undefined ? flags : { ...flags, config: 'sparklane.json' };
  return loadConfig({
    flags: withFile,
    env: { ...home, ...env },
    readFile: () => (typeof file === 'string' ? file : JSON.stringify(file)),
  });
}

function refusal(run: () => unknown): ConfigError {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('did not refuse');
}

const spec: ModelSpec = {
  name: 'tiny',
  architecture: 'qwen2',
  vocabSize: 64,
  hiddenSize: 16,
  layerCount: 2,
  headCount: 2,
  kvHeadCount: 1,
  headSize: 8,
  ffnSize: 32,
  experts: null,
  scoreGrowth: null,
  contextLength: 4096,
  rmsNormEps: 1e-6,
  ...plainDecoder,
  activation: 'silu',
  layers: [
    { window: null, rotary: 'main' },
    { window: null, rotary: 'main' },
  ],
  rotarySize: 8,
  ropeTheta: 10_000,
  localRopeTheta: null,
  ropeScaling: null,
  embeddingMultiplier: 1,
  residualMultiplier: 1,
  attentionMultiplier: 1 / Math.sqrt(8),
  logitMultiplier: 1,
  attentionSoftCap: null,
  logitSoftCap: null,
  tiedEmbeddings: true,
  qkvBias: true,
  attentionOutputBias: false,
  mlpBias: false,
  bosTokenId: null,
  eosTokenIds: [0],
};

describe('precedence', () => {
  test('without anything given every option has its default', () => {
    const config = load({});
    expect(config).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      model: 'smollm2-135m-instruct',
      slots: 16,
      threads: 2,
    });
    expect(config.frameSizeMax).toBe(config.bodySizeMax);
    expect(config.loopback).toBe(true);
  });

  test('a flag goes before the environment, the environment before the file, the file before the default', () => {
    const env = { SPARKLANE_PORT: '2', SPARKLANE_SLOTS: '2' };
    const file = { port: 3, slots: 3, replicas: 3 };
    const config = load({ port: '1' }, env, file);
    expect([config.port, config.slots, config.replicas, config.choiceCountMax]).toEqual([1, 2, 3, 16]);
  });

  test('an empty environment variable counts as not given', () => {
    expect(load({}, { SPARKLANE_PORT: '' }).port).toBe(8080);
  });

  test('every default is accepted by its own type, and no two options share a flag or a variable', () => {
    for (const name of OPTION_NAMES) {
      const { type, default: fallback } = OPTIONS[name];
      expect([name, type.safeParse(fallback)]).toEqual([name, { success: true, data: fallback }]);
    }
    expect(new Set(OPTION_NAMES.map((name) => OPTIONS[name].flag)).size).toBe(OPTION_NAMES.length);
    expect(new Set(OPTION_NAMES.map((name) => OPTIONS[name].env)).size).toBe(OPTION_NAMES.length);
  });
});

describe('values', () => {
  test('lists come from a repeated flag, a comma-separated variable or a JSON array', () => {
    expect(load({ apiKeys: ['first-key', 'second-key'] }).apiKeys).toEqual(['first-key', 'second-key']);
    expect(load({}, { SPARKLANE_API_KEY: 'first-key, second-key' }).apiKeys).toEqual([
      'first-key',
      'second-key',
    ]);
    expect(load({}, {}, { apiKeys: ['first-key'] }).apiKeys).toEqual(['first-key']);
  });

  test('sizes are bytes or carry a unit', () => {
    expect(load({ bodySizeMax: '512KiB' }).bodySizeMax).toBe(524_288);
    expect(load({ bodySizeMax: 2048 }).bodySizeMax).toBe(2048);
  });

  test('a word can leave a number to the start-up', () => {
    expect(load({ seed: 'random', contextTokens: 'model' })).toMatchObject({
      seed: null,
      contextTokens: null,
    });
    expect(load({ seed: '17' }).seed).toBe(17);
  });

  test('with a cluster, nodes that compute answer as --invariance full says, unless another one is given', () => {
    const cluster = 'redis://127.0.0.1:6379';
    expect(load({}).invariance).toBe('guesses');
    expect(load({ cluster }).invariance).toBe('full');
    expect(load({ cluster, invariance: 'guesses' }).invariance).toBe('guesses');
    expect(load({ cluster, backend: 'sim' }).invariance).toBe('guesses');
    expect(load({ cluster, backend: 'h100' }).invariance).toBe('guesses');
    expect(load({ cluster, backend: 'h100', simText: 'model' }).invariance).toBe('full');
    expect(load({ cluster, backend: 'sim', simText: 'model' }).invariance).toBe('guesses');
  });

  test('threads follow the replicas unless they are given', () => {
    expect(load({ replicas: 3 })).toMatchObject({ threads: 3, threadsPerReplica: 1 });
    expect(load({ replicas: 2, threads: 8 })).toMatchObject({ threads: 8, threadsPerReplica: 4 });
  });

  test('the cache directory follows XDG and the home directory', () => {
    expect(load({}, { XDG_CACHE_HOME: '/xdg' }).cacheDirectory).toBe('/xdg/sparklane');
    expect(load({}).cacheDirectory.startsWith('/home/ada/')).toBe(true);
    expect(load({}, { SPARKLANE_CACHE: '/elsewhere' }).cacheDirectory).toBe('/elsewhere');
  });

  test('the result is frozen, its lists too', () => {
    const config = load({ apiKeys: ['first-key'] });
    expect(
      Object.isFrozen(config) && Object.isFrozen(config.apiKeys) && Object.isFrozen(config.corsOrigins),
    ).toBe(true);
  });

  test('the printed form counts the keys and does not show them', () => {
    const printed = describeConfig(load({ apiKeys: ['secret-key'] }));
    expect(printed['apiKeys']).toBe(1);
    expect(JSON.stringify(printed)).not.toContain('secret-key');
  });
});

describe('files of keys', () => {
  const files: Record<string, string> = {
    keys: '# of the team\n\nfirst-key\r\n  second#key  # Ada\n',
    admin: 'admin-secret\n',
    bad: 'first-key\nno key at all\n',
    empty: '# nothing yet\n',
  };
  const from = (flags: Record<string, unknown>, env = {}) =>
    loadConfig({
      flags,
      env: { ...home, ...env },
      readFile: (path) => files[path] ?? files['absent']!.trim(),
    });

  test('lines, comments and blanks; keys given elsewhere come first', () => {
    expect(from({ apiKeyFile: 'keys' }).apiKeys).toEqual(['first-key', 'second#key']);
    expect(from({ apiKeyFile: 'keys' }, { SPARKLANE_API_KEY: 'third-key' }).apiKeys).toEqual([
      'third-key',
      'first-key',
      'second#key',
    ]);
    expect(from({ host: '0.0.0.0' }, { SPARKLANE_API_KEY_FILE: 'keys' }).loopback).toBe(false);
  });

  test('an admin key comes from one place, is a key of its own and is never printed', () => {
    const config = from({ apiKeyFile: 'keys', adminKeyFile: 'admin' });
    expect(config.adminKey).toBe('admin-secret');
    expect(JSON.stringify(describeConfig(config))).not.toMatch(/admin-secret|first-key/);
    expect(refusal(() => from({ adminKey: 'other-secret', adminKeyFile: 'admin' })).option).toBe(
      'adminKeyFile',
    );
    const shared = refusal(() => from({ apiKeys: ['first-key'], adminKey: 'first-key' }));
    expect([shared.option, shared.message.includes('first-key')]).toEqual(['adminKey', false]);
  });

  test('a bad line is named by its number, not shown; a file without keys or unreadable is refused', () => {
    const bad = refusal(() => from({ apiKeyFile: 'bad' }));
    expect([bad.option, bad.message.includes('line 2'), bad.message.includes('no key at all')]).toEqual([
      'apiKeyFile',
      true,
      false,
    ]);
    expect(refusal(() => from({ apiKeyFile: 'empty' })).message).toContain('it has 0');
    expect(refusal(() => from({ apiKeyFile: 'absent' })).message).toContain('readable');
  });
});

describe('refusals', () => {
  test('a number out of range names option, value, source and bound', () => {
    const error = refusal(() => load({}, { SPARKLANE_PORT: '70000' }));
    expect(error).toMatchObject({ option: 'port', value: '70000', bound: 'an integer from 0 to 65535' });
    expect(error.message).toBe('port = "70000" (SPARKLANE_PORT): must be an integer from 0 to 65535');
  });

  test.each([
    ['port', 'eighty'],
    ['port', ''],
    ['port', '1.5'],
    ['port', true],
    ['port', null],
    ['slots', 0],
    ['precision', 'int3'],
    ['bodySizeMax', '3 parsecs'],
    ['apiKeys', ['short']],
    ['apiKeys', 'with space'],
    ['backend', '../evil'],
  ])('%s = %j is refused', (option, value) => {
    expect(refusal(() => load({ [option]: value })).option).toBe(option);
  });

  test('an unknown key is refused wherever it comes from', () => {
    expect(refusal(() => load({ prot: 1 })).option).toBe('prot');
    expect(refusal(() => load({}, { SPARKLANE_PROT: '1' })).option).toBe('SPARKLANE_PROT');
    expect(refusal(() => load({}, {}, { prot: 1 })).message).toContain('config file');
  });

  test('a file that is missing, not JSON or not an object is refused', () => {
    const missing = { flags: { config: 'absent.json' }, env: home };
    expect(refusal(() => loadConfig(missing)).message).toContain('readable');
    expect(refusal(() => load({}, {}, '{"port":')).message).toContain('valid JSON');
    expect(refusal(() => load({}, {}, [])).message).toContain('one JSON object');
  });

  test('the file is read from disk when no reader is given', () => {
    const path = resolve('package.json');
    expect(refusal(() => loadConfig({ flags: { config: path }, env: home })).option).toBe('name');
  });

  test('listening elsewhere than on loopback needs an API key', () => {
    expect(refusal(() => load({ host: '0.0.0.0' })).message).toContain('--api-key');
    expect(load({ host: '0.0.0.0', apiKeys: ['first-key'] }).loopback).toBe(false);
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) expect(isLoopback(host)).toBe(true);
    for (const host of ['0.0.0.0', '::', '192.168.0.1', 'localhost.example.com', '127.0.0.1.example.com']) {
      expect(isLoopback(host)).toBe(false);
    }
  });

  test('a refused key is not repeated in the message', () => {
    expect(refusal(() => load({ apiKeys: ['bad key value'] })).message).not.toContain('bad key value');
  });

  test('numbers that contradict each other are refused', () => {
    expect(refusal(() => load({ blockSize: 48 })).option).toBe('prefillChunkTokens');
    expect(refusal(() => load({ streamBufferSizeMax: '16MiB' })).option).toBe('streamBufferSizeMax');
    expect(refusal(() => load({ replicas: 2, threads: 1 })).option).toBe('threads');
  });
});

describe('bounds for a model', () => {
  const tokenSize = 2 * 2 * 1 * 16 * 4; // key and value, layers, KV heads, a head of 8 as it is computed, fp32

  test('the context is the model’s own where the cache can hold it', () => {
    const bounds = boundsForModel(load({ kvCacheSizeMax: '1MiB' }), spec);
    expect(bounds).toEqual({ contextTokens: 4096, blockCount: Math.floor(2 ** 20 / (16 * tokenSize)) });
  });

  test('a cache smaller than one context shortens it', () => {
    const wide = { ...spec, contextLength: 1_000_000 };
    const { contextTokens, blockCount } = boundsForModel(load({ kvCacheSizeMax: '1MiB' }), wide);
    expect(contextTokens).toBe(blockCount * 16);
  });

  test('a context longer than the model’s or than the cache is refused with the bound', () => {
    expect(refusal(() => boundsForModel(load({ contextTokens: 5000 }), spec)).message).toContain('4096');
    const wide = { ...spec, contextLength: 1_000_000 };
    const config = load({ contextTokens: 100_000, kvCacheSizeMax: '1MiB' });
    expect(refusal(() => boundsForModel(config, wide)).message).toContain(`${100_000 * tokenSize} bytes`);
  });

  test('the cache grows with the sequence that was asked for, or with what an agent wants of a large model', () => {
    const large = { ...spec, contextLength: 1_000_000, layerCount: 40, kvHeadCount: 128 };
    const size = kvBytesPerToken(large, 4);
    expect(16_384 * size).toBeGreaterThan(2 ** 30);
    expect(boundsForModel(load({}), large).contextTokens).toBe(16_384);
    expect(kvCacheSize(load({ contextTokens: 100_000 }), large)).toBe(100_000 * size);
    expect(kvCacheSize(load({ contextTokens: 100_000, kvPrecision: 'int8' }), large)).toBe(25_000 * size);
    expect(kvCacheSize(load({ contextTokens: 100_000 }), spec)).toBe(2 ** 30);
    expect(kvCacheSize(load({ kvCacheSizeMax: '1MiB' }), large)).toBe(2 ** 20);
  });

  test('on a device, whose memory is taken whole, seats and a bench fit into what it may use', () => {
    const gpu = { backend: 'webgpu', slots: 3, deviceKvSizeMax: '1MiB', kvCacheSizeMax: '1MiB' };
    const wide = { ...spec, contextLength: 1_000_000 };
    const { contextTokens } = boundsForModel(load(gpu), wide);
    expect(contextTokens).toBe(Math.floor(2 ** 20 / (4 * tokenSize)));
    const fault = refusal(() => boundsForModel(load({ ...gpu, contextTokens: 4096 }), wide));
    expect(fault.option).toBe('deviceKvSizeMax');
    expect(fault.message).toContain(`${4096 * 4 * tokenSize} bytes`);
  });
});
