// From a config to an open device: sizes that fit the model, the built graph if the device computes, what `auto`
// means, and how a device is described to people. Computes nothing. Before it: cli/local-server.ts; after it:
// kernels/registry.ts.
import { join } from 'node:path';
import type { Backend, BackendLimits } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import { calibrationOn } from '../../kernels/onnx/activation-probe.ts';
import { nativeLibrary } from '../../kernels/onnx/own-library.ts';
import { type BackendLog, createBackend } from '../../kernels/registry.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { withAdapters } from '../../models/checkpoint/lora.ts';
import { CheckpointError } from '../../models/files/model-file.ts';
import { adoptExport } from '../../models/graph/adopted-graph.ts';
import { type BuiltGraph, buildGraph, isBuilt } from '../../models/graph/build.ts';
import { calibrationTokens, calibrationVersion } from '../../models/graph/calibration.ts';
import { topCount } from '../../models/graph/decoder.ts';
import type { BuildProgress } from '../../models/graph/graph-files.ts';
import { graphSize, sizeProblem } from '../../models/graph/graph-size.ts';
import { hasOwnAttention } from '../../models/graph/own-attention-nodes.ts';
import {
  defaultPrecision,
  divergenceBound,
  expectedDivergence,
  type Precision,
} from '../../models/graph/precision.ts';
import type { Model } from '../../models/model.ts';
import { type ModelSpec, servedSpec } from '../../models/spec.ts';
import type { Checkpoint } from '../../models/weights/weights.ts';
import {
  boundsForModel,
  type Config,
  ConfigError,
  computes,
  kvCacheSize,
  kvTokenSize,
} from '../config/config.ts';

export interface DeviceParts {
  readonly clock: Clock;
  readonly log: BackendLog;
  readonly onProgress: (progress: BuildProgress) => void; // while a graph is being built
  readonly memorySize?: number; // bytes; without it no model is too large
  /** Fills the cache in another thread, because this one has others to serve; without it, it is filled here. */
  readonly buildApart?: (config: Config, onProgress: DeviceParts['onProgress']) => Promise<void>;
}

export interface OpenDevice {
  readonly backend: Backend;
  readonly kvIdentity: string; // devices with the same compute the same KV for the same tokens
  readonly description: string; // for people: name, precision, sizes
}

// Longest guess of a step. A row of 17 costs 2 to 3.5 single tokens where products are integers; on edits, whose guesses are nearly
// always right, it brings a sixth more than one of 9 (test/bench/edit-turns.bench.ts). What does not pay is not guessed.
const DRAFT_TOKENS_MAX = 16;
const SCORES_SIZE_MAX = 512 * 2 ** 20; // bytes that a replica's attention takes at most beside KV

/** Builds the graph if the cache has none. Rejects with ConfigError, CheckpointError or what the device says. */
export async function openDevice(config: Config, model: Model, parts: DeviceParts): Promise<OpenDevice> {
  const { clock, log } = parts;
  const { spec } = model;
  refuseForDevice(config, model);
  let graph: BuiltGraph | null = null;
  const openGraph = async () => {
    const { cacheDirectory } = config;
    graph = await graphFor(config, model, parts);
    tellRotary(graph.spec, log);
    tellBroken(config, log);
    log.info('weights', { model: spec.name, precision: graph.precision, types: graph.fates });
    const file = join(cacheDirectory, `kv-scales-${graph.contentHash}-${calibrationVersion}.bin`);
    const int8Kv = config.kvPrecision === 'int8' ? { tokens: calibrationTokens(model), file } : null;
    return { graph, int8Kv };
  };
  const sizes = sizesFor(config, model);
  const { threads: threadCount, stepTimeoutMs, streamIntervalMs: tellIntervalMs } = config;
  const { simModel, simPrecision, simWeights, simText } = config;
  const simulated = { model: simModel, precision: simPrecision, weights: simWeights, text: simText };
  const options = {
    ...{ spec, sizes, threadCount, stepTimeoutMs, tellIntervalMs },
    ...{ openGraph, simulated, clock, log, opensApart: parts.buildApart !== undefined },
    guesses: config.invariance === 'none' ? ('together' as const) : ('alone' as const),
  };
  const backend = await createBackend(config.backend, options);
  const kvIdentity = graph === null ? `simulated ${spec.name}` : graphIdentity(graph, config);
  return { backend, kvIdentity, description: describe(config, backend, spec, graph) };
}

/**
 * The graph that a device of this config opens; builds it if the cache has none. Rejects as buildGraph does, and before
 * anything is converted with CheckpointError where the weights could not lie in memory.
 */
export async function graphFor(
  config: Config,
  model: Model,
  {
    onProgress,
    memorySize = Number.POSITIVE_INFINITY,
    buildApart,
  }: Pick<DeviceParts, 'onProgress' | 'memorySize' | 'buildApart'>,
): Promise<BuiltGraph> {
  const { cacheDirectory, threadsPerReplica } = config;
  if (model.fileFormat === 'onnx') {
    refuseForExport(config, model);
    return adoptExport(model.path, model.spec, cacheDirectory);
  }
  const { checkpoint, format } = checkpointFor(config, model);
  const { precision } = format;
  const problem = sizeProblem(graphSize(checkpoint.spec, format, checkpoint), memorySize);
  if (problem !== null)
    throw new CheckpointError(`${model.spec.name} at ${precision}: ${problem}`, { file: model.path });
  const calibration = calibrationOn(calibrationTokens(model), threadsPerReplica);
  const threads = { count: threadsPerReplica, adapters: model.adapters };
  const options = { ...format, cacheDirectory, calibration, onProgress, threads };
  if (buildApart !== undefined && !(await isBuilt(checkpoint, options))) await buildApart(config, onProgress);
  return buildGraph(checkpoint, options);
}

/** What a device that computes, of this config will be able to hold, before it is opened. Throws ConfigError. */
export function limitsFor(config: Config, model: Model): BackendLimits {
  const { spec } = model;
  return { ...sizesFor(config, model), logprobsMax: topCount(spec), vocabSize: spec.vocabSize };
}

/** Bytes that a model takes in memory on the cpu: its weights, and the KV that outlives sequences. Throws CheckpointError. */
export function loadedSize(config: Config, model: Model): number {
  return graphSizeFor(config, model) + kvCacheSize(config, model.spec);
}

/** Bytes of the weights of that graph. Throws CheckpointError. */
export function graphSizeFor(config: Config, model: Model): number {
  if (model.fileFormat === 'onnx') return model.fileSize;
  const { checkpoint, format } = checkpointFor(config, model);
  return graphSize(checkpoint.spec, format, checkpoint);
}

/** A graph that others built is served as it is. */
function refuseForExport({ kernels, kvPrecision, lora, precision }: Config, { path }: Model): void {
  const refuse = (problem: string) => new CheckpointError(problem, { file: path });
  if (kvPrecision !== 'fp32')
    throw refuse(`--kv-precision ${kvPrecision}: an ONNX export keeps KV as it was built to`);
  if (lora.length > 0)
    throw refuse('--lora: adapters are merged into weights, and an ONNX export is served as it is');
  if (kernels === 'own')
    throw refuse('--kernels own: an ONNX export has the operators that it was built with');
  if (precision !== 'auto')
    throw refuse(`--precision ${precision}: an ONNX export has the format that it was built in`);
}

function checkpointFor(config: Config, { path, adapters, spec }: Model) {
  const loaded = withAdapters(loadCheckpoint(path), adapters);
  const { contextTokens } = boundsForModel(config, spec);
  const checkpoint = { ...loaded, spec: servedSpec(loaded.spec, contextTokens) };
  const ownKernels = hasOwnKernels(config);
  return { checkpoint, format: { precision: precisionFor(config, checkpoint, ownKernels), ownKernels } };
}

/** Two sets of frequencies exist, and one is served: whoever compares answers must know which. */
function tellRotary({ ropeScaling, contextLength }: ModelSpec, log: BackendLog): void {
  if (ropeScaling?.kind !== 'longrope') return;
  const { originalContextLength } = ropeScaling;
  const isLong = contextLength > originalContextLength;
  log.info(`rotary frequencies for ${isLong ? 'long' : 'short'} contexts`, {
    contextTokens: contextLength,
    originalContextTokens: originalContextLength,
    ...(isLong && { forShort: `--context-tokens ${originalContextLength}` }),
  });
}

/** Who asks for a format beyond the bound of a default is told what it may cost; `auto` keeps the bound. */
export function warnOfDivergence(
  { backend, precision }: Pick<Config, 'backend' | 'precision'>,
  log: BackendLog,
) {
  if (!computes(backend) || precision === 'auto' || expectedDivergence[precision] <= divergenceBound) return;
  log.warn(`precision ${precision} may be far from fp32; PERFORMANCE.md, "Accuracy", has what was measured`, {
    expectedNats: expectedDivergence[precision],
    boundOfDefaultNats: divergenceBound,
  });
}

/** What a GPU is not served with. Throws ConfigError, or CheckpointError where it is the model. */
function refuseForDevice(config: Config, { path, spec }: Model): void {
  if (config.backend !== 'webgpu') return;
  if (spec.attentionSoftCap !== null) {
    const problem =
      "ONNX Runtime's WebGPU attention leaves out its soft cap of scores; serve it with --backend cpu";
    throw new CheckpointError(`${spec.name}: ${problem}`, { file: path });
  }
  const refuse = (option: keyof Config, bound: string) => {
    throw new ConfigError({ option, value: config[option], bound, source: 'with backend webgpu' });
  };
  if (config.replicas !== 1) refuse('replicas', '1: there is one adapter');
  if (config.kvPrecision !== 'fp32') refuse('kvPrecision', 'fp32: its kernels keep KV in no other format');
  if (config.precision === 'w8a8')
    refuse('precision', 'fp32, int8, int4 or stored: its kernels have no w8a8');
  if (config.kernels === 'own') refuse('kernels', 'auto or onnxruntime: ours are for the cpu');
}

/** Whether our own operators compute on this machine. Throws ConfigError where they are asked for and cannot. */
export function hasOwnKernels({ backend, kernels }: Pick<Config, 'backend' | 'kernels'>): boolean {
  if (backend === 'webgpu' || kernels === 'onnxruntime') return false;
  const { path, problem } = nativeLibrary();
  if (path !== null) return true;
  if (kernels === 'auto') return false;
  const bound = `auto or onnxruntime: ${problem}`;
  throw new ConfigError({ option: 'kernels', value: kernels, bound, source: 'on this machine' });
}

/** What then computes is several times slower, and nobody asked for it. */
function tellBroken({ backend, kernels }: Config, log: BackendLog): void {
  const { problem, isBroken } = nativeLibrary();
  if (isBroken && backend === 'cpu' && kernels === 'auto')
    log.warn('operators of our own are not used', { problem });
}

/** `auto` is what was measured to be fastest within an accuracy bound for a model of this size. */
function precisionFor(
  { precision, backend }: Config,
  checkpoint: Checkpoint,
  ownKernels: boolean,
): Precision {
  if (precision !== 'auto') return precision;
  const measured = defaultPrecision(checkpoint.spec, checkpoint, ownKernels);
  return backend === 'webgpu' && measured === 'w8a8' ? 'int8' : measured;
}

const JUDGED_TOKENS_MAX = 32; // each keeps a row of logits: 6 MB a replica at 49k tokens, 19 MB at 152k

function sizesFor(config: Config, model: Model): Omit<BackendLimits, 'logprobsMax' | 'vocabSize'> {
  const { contextTokens, blockCount } = boundsForModel(config, model.spec);
  const rowTokensMax = rowTokensFor(config, model, contextTokens);
  return {
    replicaCount: config.replicas,
    slotCount: config.slots,
    slotTokensMax: contextTokens,
    blockSize: config.blockSize,
    blockCount,
    rowTokensMax,
    stepTokensMax: config.stepTokensMax + config.slots * DRAFT_TOKENS_MAX,
    sampleCountMax: 1 + DRAFT_TOKENS_MAX,
    judgedTokensMax: Math.min(rowTokensMax, JUDGED_TOKENS_MAX),
    roundsMax: config.decodeRounds,
  };
}

function graphIdentity({ contentHash, precision }: BuiltGraph, { kvPrecision, backend }: Config): string {
  const device = backend === 'cpu' || !computes(backend) ? '' : ` on ${backend}`; // it rounds otherwise; a simulated one has the cpu compute
  const kv = kvPrecision === 'fp32' ? '' : ` kv ${kvPrecision} ${calibrationVersion}`;
  return `${contentHash} ${precision}${kv}${device}`;
}

/**
 * Tokens of the longest row. ONNX Runtime holds the scores of a row at once, for every head and all of the context: rows are
 * shorter where those would take more than SCORES_SIZE_MAX. And 2 · headSize at most: on other devices than the cpu longer
 * ones end in the path for single tokens, which rounds otherwise (docs/lab/precision.md).
 */
function rowTokensFor(config: Config, model: Model, contextTokens: number): number {
  const { spec } = model;
  const { prefillChunkTokens, blockSize } = config;
  if (attendsItself(config, model))
    return Math.min(contextTokens, Math.max(prefillChunkTokens, 1 + DRAFT_TOKENS_MAX));
  const affordable = Math.floor(SCORES_SIZE_MAX / scoresSize(spec, contextTokens));
  const whole = affordable - (affordable % blockSize); // chunks end where blocks do
  const tokens = Math.max(Math.min(prefillChunkTokens, 2 * spec.headSize, whole), 1 + DRAFT_TOKENS_MAX);
  return Math.min(contextTokens, tokens);
}

/** Our own attention holds a piece of a row's scores at a time; an ONNX export brings its own. */
function attendsItself(config: Config, { spec, fileFormat }: Model): boolean {
  return config.backend === 'cpu' && fileFormat !== 'onnx' && hasOwnKernels(config) && hasOwnAttention(spec);
}

/** Bytes of the scores of one token. */
function scoresSize({ headCount }: ModelSpec, contextTokens: number): number {
  return headCount * contextTokens * Float32Array.BYTES_PER_ELEMENT;
}

function simulatedModel({ simModel, simPrecision }: Config): string {
  return `${simModel} ${simPrecision === null ? 'as published' : `at ${simPrecision}`}`;
}

function describe(
  config: Config,
  { name, adapter, limits }: Backend,
  spec: ModelSpec,
  graph: BuiltGraph | null,
): string {
  const computing =
    graph === null
      ? `simulated${config.backend === 'sim' ? '' : ` with ${simulatedModel(config)}`}: what it says is noise`
      : `${graph.precision}${graph.ownKernels ? ' by our own kernels' : ''}${config.kvPrecision === 'int8' ? ', KV int8' : ''}, ${config.replicas} × ${config.threadsPerReplica} threads`;
  const { slotCount, slotTokensMax, blockCount, blockSize } = limits;
  const cachedCount = blockCount * blockSize;
  const where = adapter === undefined ? name : `${name} on ${adapter}`;
  const sizes = `${slotCount} slots of ${slotTokensMax} tokens, ${cachedCount} tokens cached`;
  if (graph === null) return `${where} (${computing}), ${sizes}`;
  const mibOf = (tokenCount: number) => Math.ceil((tokenCount * kvTokenSize(config, spec)) / 2 ** 20);
  const seated = config.replicas * slotCount * slotTokensMax;
  const scoredTokens = config.replicas * Math.max(limits.rowTokensMax, slotCount);
  const scoresMib = Math.ceil((scoredTokens * scoresSize(spec, slotTokensMax)) / 2 ** 20);
  const scores = graph.ownKernels && hasOwnAttention(spec) ? '' : ` and ${scoresMib} of scores`;
  // In this machine's memory reserved, not taken: the operating system gives a page when it is first written.
  const kv =
    adapter === undefined
      ? `at most ${mibOf(seated + cachedCount)} MiB of KV${scores}, taken as they fill`
      : `${mibOf(seated + slotTokensMax)} MiB of KV on the device, at most ${mibOf(cachedCount)} MiB here`;
  return `${where} (${computing}), ${sizes}, ${kv}`;
}
