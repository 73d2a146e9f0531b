// CpuBackend: ONNX Runtime on this machine's cores, or on the adapter that WebGPU finds. Owns the session (weights, once
// per process), the block store and one replica per worker; decides which runtime is used and says so. Computes nothing
// itself. Before it: the engine, through kernels/backend.ts; after it: replica.ts.
import assert from 'node:assert/strict';
import type { ModelSpec } from '../../models/spec.ts';
import {
  assertOutcome,
  assertPlan,
  type Backend,
  type BackendLimits,
  type RoundOutcome,
  type StepCosts,
  type StepOutcome,
  type StepPlan,
} from '../backend.ts';
import type { Clock } from '../clock.ts';
import { adapterName } from './adapter.ts';
import { probeDevice } from './device-probe.ts';
import { DeviceRuntime } from './device-runtime.ts';
import { giveBack, trimAllocator } from './host-pages.ts';
import { type KvCalibration, measureKvScales, readKvScales } from './kv-calibration.ts';
import {
  allocateBlocks,
  allocateSeats,
  blockBytes,
  blockPieces,
  copyContent,
  type KvArrays,
  type KvScales,
  type KvShape,
} from './kv-memory.ts';
import type { GuessRounding, RuntimeSetup, WorkerFault, WorkerSetup } from './messages.ts';
import { OrtError, openBindingSession, openSession, takeSession } from './ort.ts';
import { Replica, type ReplicaLog } from './replica.ts';
import type { GraphSession, Provider, SessionOptions, Traffic } from './runtime.ts';
import { guessesAgree, verifyInPlace } from './self-test.ts';
import type { OpenedApart } from './session-opener.ts';
import { measureStepCosts } from './step-costs.ts';
import { createStepFrame } from './step-frame.ts';
import { threadPool } from './thread-pool.ts';

/** The part of models/graph/build.ts's BuiltGraph that running it needs. */
export interface DecoderGraph {
  readonly modelPath: string; // for the C API
  readonly bindingModelPath: string | null; // for the official binding, where there is one
  readonly deviceModelPath: string | null; // for other devices than the cpu; null: modelPath
  readonly int8Kv: { readonly modelPath: string; readonly bindingModelPath: string | null } | null; // the same with KV as int8, where there is one
  readonly topCount: number; // K
  readonly spec: ModelSpec;
  readonly precision?: string; // fp32, or how its weights are rounded; absent: that is not known
}

/** What is chosen; the rest follows from the model. */
export type DeviceSizes = Omit<BackendLimits, 'vocabSize' | 'logprobsMax'>;

export interface CpuBackendOptions {
  readonly graph: DecoderGraph;
  readonly sizes: DeviceSizes;
  readonly int8Kv: KvCalibration | null; // null: KV as fp32
  readonly provider?: Provider; // absent: cpu; any other needs the C API
  readonly runtime: 'auto' | 'c-api' | 'binding'; // auto: the C API if it can be loaded, else the official binding
  readonly threadCount: number; // of all replicas together, ≥ replicaCount
  readonly spinning: boolean; // those threads busy-wait for the next operator
  readonly stepTimeoutMs: number; // longer: the worker counts as hung
  readonly openTimeoutMs: number; // to start a thread and open the device in it
  readonly tellIntervalMs: number; // rounds of a step are told together until this has passed since the last ones were
  readonly guesses?: GuessRounding; // alone unless told otherwise
  readonly opensApart?: boolean; // weights are loaded in another thread, because this one has others to serve
  readonly clock: Clock;
  readonly log: ReplicaLog;
}

/**
 * Loads the model and starts the workers; blocks the thread while weights load. Proves on every replica that the KV
 * is updated in place. Rejects with OrtError (no runtime, no model) or SelfTestError.
 */
export async function createCpuBackend(options: CpuBackendOptions): Promise<CpuBackend> {
  const limits = limitsOf(options);
  const scales = options.int8Kv === null ? null : await scalesFor(options, options.int8Kv);
  const session = await openRuntime(options);
  const rowTokensMax = await soundRowTokens(options, session).catch((error) => {
    session?.release();
    throw error;
  });
  const backend = new CpuBackend({ options, limits: limitsWithin(limits, rowTokensMax), session, scales });
  try {
    await backend.open();
    return backend;
  } catch (error) {
    await backend.close();
    throw error;
  }
}

export class CpuBackend implements Backend {
  readonly name: Provider;
  readonly adapter?: string;
  readonly limits: BackendLimits;
  readonly runtime: GraphSession['runtime'];
  costs: StepCosts | null = null;
  readonly #options: CpuBackendOptions;
  readonly #session: GraphSession | null; // null: every worker has its own
  readonly #device: DeviceRuntime | null; // null: the cpu
  readonly #kvShape: KvShape;
  readonly #blocks: KvArrays;
  readonly #replicas: readonly Replica[];
  readonly #seats = new Set<KvArrays>(); // of threads that may still write to them
  #closed: Promise<void> | null = null;

  /** Use createCpuBackend. */
  constructor(parts: {
    readonly options: CpuBackendOptions;
    readonly limits: BackendLimits;
    readonly session: GraphSession | null;
    readonly scales: KvScales | null;
  }) {
    const { options, limits, session, scales } = parts;
    this.#options = options;
    this.limits = limits;
    this.#session = session;
    this.name = options.provider ?? 'cpu';
    if (this.name === 'webgpu') this.adapter = adapterName();
    this.runtime = session?.runtime ?? 'binding';
    const { layerCount, kvHeadCount, headSize } = options.graph.spec;
    const { slotCount, slotTokensMax, blockSize, blockCount } = limits;
    const places = { slotCount, slotTokensMax, blockSize, blockCount };
    this.#kvShape = { layerCount, kvHeadCount, headSize, ...places, scales };
    this.#blocks = allocateBlocks(this.#kvShape);
    const { rowTokensMax } = limits;
    this.#device =
      this.name === 'cpu'
        ? null
        : new DeviceRuntime({ session: session!, provider: this.name, shape: this.#kvShape, rowTokensMax });
    this.#replicas = Array.from({ length: limits.replicaCount }, (_, index) => this.#createReplica(index));
  }

  /** Starts the workers, tests and measures them. Part of createCpuBackend. */
  async open(): Promise<void> {
    const versions = await Promise.all(this.#replicas.map((replica) => replica.open()));
    await Promise.all(this.#replicas.map((_, replica) => verifyInPlace(this, replica)));
    const costs = await measureStepCosts(this);
    const mayGuess = this.#options.guesses === 'together' || (await guessesAgree(this));
    this.costs = mayGuess ? costs : this.#withoutGuesses(costs);
    this.#options.log.info(`${this.name} backend ready`, {
      ...(this.adapter !== undefined && { adapter: this.adapter, onCpu: this.#session!.onCpu!.join(', ') }),
      runtime: this.runtime,
      version: versions[0],
      replicas: this.limits.replicaCount,
      threads: this.#options.threadCount,
    });
  }

  step(
    plan: StepPlan,
    done: (outcome: StepOutcome) => void,
    onRounds?: (outcomes: readonly RoundOutcome[]) => void,
  ): void {
    assertPlan(plan, this.limits);
    this.#replicas[plan.replica]!.step(
      plan,
      (outcome) => {
        assertOutcome(plan, outcome);
        done(outcome);
      },
      onRounds,
    );
  }

  interrupt(replica: number): void {
    this.#replicas[replica]!.interrupt();
  }

  releaseSlot(replica: number, slot: number): void {
    this.#replicas[replica]!.releaseSlot(slot);
  }

  keepSlot(replica: number, slot: number, tokenCount: number): boolean {
    // A device computes best in its first seats (device-seats.ts): whoever comes next had better sit there.
    return this.#device === null && this.#replicas[replica]!.keepSlot(slot, tokenCount);
  }

  get carriedBytes(): Traffic {
    const all = this.#replicas.map(({ carriedBytes }) => carriedBytes);
    const sum = (way: keyof Traffic) => all.reduce((total, carried) => total + carried[way], 0);
    return { toDevice: sum('toDevice'), fromDevice: sum('fromDevice') };
  }

  get blockBytes(): number {
    return blockBytes(this.#kvShape);
  }

  readBlock(block: number, into: Uint8Array): void {
    this.#assertOpen();
    copyContent({ shape: this.#kvShape, blocks: this.#blocks }, block, into, 'read');
  }

  writeBlock(block: number, content: Uint8Array): void {
    copyContent({ shape: this.#kvShape, blocks: this.#blocks }, block, content, 'write');
  }

  blockPieces(block: number): readonly Uint8Array[] {
    this.#assertOpen();
    return blockPieces({ shape: this.#kvShape, blocks: this.#blocks }, block);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  // Afterwards blocks are gone, and zeros would be read as their content.
  #assertOpen(): void {
    assert(this.#closed === null, 'the blocks of a closed device');
  }

  /** For tests: what the replica's worker does in the middle of its next step. */
  injectFault(replica: number, fault: WorkerFault): void {
    this.#replicas[replica]!.injectFault(fault);
  }

  /** For tests: ends the replica's thread from outside. */
  terminateWorker(replica: number): Promise<void> {
    return this.#replicas[replica]!.terminateWorker();
  }

  async #close(): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica.close()));
    const runningCount = this.#replicas.reduce((sum, replica) => sum + replica.discardedCount, 0);
    // A hung thread may wake in the middle of a run: its session stays.
    if (runningCount > 0) {
      this.#options.log.warn('hung workers keep their session', { workers: runningCount });
      return;
    }
    (this.#device ?? this.#session)?.release();
    giveBack([...this.#blocks, ...Array.from(this.#seats).flat()]);
    trimAllocator();
  }

  #withoutGuesses(costs: StepCosts | null): StepCosts | null {
    this.#options.log.warn(
      'nothing is guessed: this graph computes several tokens with other roundings than one',
      {},
    );
    return costs === null ? null : { ...costs, rowMs: costs.rowMs.slice(0, 1) };
  }

  #createReplica(index: number): Replica {
    const { stepTimeoutMs, openTimeoutMs, clock, log } = this.#options;
    const createSetup = () => this.#createSetup();
    const dropSetup = ({ runtime }: WorkerSetup) => {
      if (runtime.kind === 'device') this.#device!.free(runtime);
      if (runtime.kind !== 'c-api') return;
      giveBack(runtime.seats);
      this.#seats.delete(runtime.seats);
    };
    const fromFirst = this.#device !== null;
    return new Replica({
      ...{ index, createSetup, dropSetup, fromFirst },
      ...{ stepTimeoutMs, openTimeoutMs, clock, log },
    });
  }

  #createSetup(): WorkerSetup {
    return {
      runtime: this.#runtimeSetup(),
      limits: this.limits,
      kvShape: this.#kvShape,
      topCount: this.#options.graph.topCount,
      tellIntervalMs: this.#options.tellIntervalMs,
      guesses: this.name === 'cpu' ? (this.#options.guesses ?? 'alone') : 'together',
      frame: createStepFrame(this.limits),
      blocks: this.#blocks,
    };
  }

  #runtimeSetup(): RuntimeSetup {
    if (this.#device !== null) return this.#device.createSetup();
    const handle = this.#session?.handle ?? null;
    if (handle === null) return { kind: 'binding', options: sessionOptions(this.#options, 'binding') };
    const seats = allocateSeats(this.#kvShape, 'shared');
    this.#seats.add(seats);
    return { kind: 'c-api', session: handle, seats };
  }
}

function limitsOf({ graph, sizes, threadCount, int8Kv, provider = 'cpu' }: CpuBackendOptions): BackendLimits {
  const { slotTokensMax, rowTokensMax, sampleCountMax, replicaCount } = sizes;
  const { contextLength, vocabSize } = graph.spec;
  assert(
    slotTokensMax <= contextLength,
    `slotTokensMax ${slotTokensMax} of ${contextLength} tokens of context`,
  );
  assert(rowTokensMax <= slotTokensMax, `rowTokensMax ${rowTokensMax} of slotTokensMax ${slotTokensMax}`);
  assert(sampleCountMax <= rowTokensMax, `sampleCountMax ${sampleCountMax} of rowTokensMax ${rowTokensMax}`);
  assert(
    provider === 'cpu' || (replicaCount === 1 && int8Kv === null),
    'a device has one replica, with KV as fp32',
  );
  assert(threadCount >= replicaCount, `threadCount ${threadCount} for ${replicaCount} replicas`);
  return { ...sizes, logprobsMax: graph.topCount, vocabSize };
}

/**
 * The longest row that the session computes right: on the cpu any, on a device what a second session of the same graph
 * bears out. Rejects with SelfTestError.
 */
async function soundRowTokens(options: CpuBackendOptions, session: GraphSession | null): Promise<number> {
  const { graph, sizes, log } = options;
  const { rowTokensMax } = sizes;
  if (session === null || options.provider === undefined || options.provider === 'cpu') return rowTokensMax;
  const path = sessionOptions(options, 'c-api');
  const cpu = await openBeside(options, { ...path, provider: 'cpu' });
  try {
    const { rowTokens, divergenceNats } = probeDevice({ device: session, cpu }, graph, rowTokensMax);
    log.info('the device agrees with the cpu', { divergenceNats, rowTokens });
    if (rowTokens < rowTokensMax)
      log.warn('longer rows are wrong on this adapter: prompts are computed in shorter ones', { rowTokens });
    return rowTokens;
  } finally {
    cpu.release();
  }
}

function limitsWithin(limits: BackendLimits, rowTokensMax: number): BackendLimits {
  const { judgedTokensMax } = limits;
  const judged =
    judgedTokensMax === undefined ? {} : { judgedTokensMax: Math.min(judgedTokensMax, rowTokensMax) };
  return { ...limits, ...judged, rowTokensMax };
}

/** Of an earlier start if there was one, else measured in a session of its own. */
async function scalesFor(options: CpuBackendOptions, calibration: KvCalibration): Promise<KvScales> {
  const { graph } = options;
  const known = readKvScales(calibration.file, graph.spec);
  if (known !== null) return known;
  const fp32 = { ...options, int8Kv: null };
  const session = (await openRuntime(fp32)) ?? (await openBindingSession(sessionOptions(fp32, 'binding')));
  try {
    return measureKvScales(session, graph, calibration);
  } finally {
    session.release();
  }
}

/** The process's session, or null where each worker opens its own through the official binding. */
async function openRuntime(options: CpuBackendOptions): Promise<GraphSession | null> {
  const { provider = 'cpu' } = options;
  if (options.runtime === 'binding' && provider === 'cpu') return null;
  const chosen = sessionOptions(options, 'c-api');
  try {
    return await openBeside(options, chosen);
  } catch (error) {
    const isMissing = error instanceof OrtError && error.code === 'unavailable';
    if (options.runtime === 'c-api' || provider !== 'cpu' || !isMissing) throw error;
    options.log.warn('falling back to the official binding: weights once per worker', {
      reason: error.message,
    });
    return null;
  }
}

/** Whoever has others to serve meanwhile has it opened in a thread. */
async function openBeside(
  { opensApart }: Pick<CpuBackendOptions, 'opensApart'>,
  chosen: SessionOptions,
): Promise<GraphSession> {
  return opensApart === true ? openApart(chosen) : openSession(chosen);
}

async function openApart(options: SessionOptions): Promise<GraphSession> {
  const pool = threadPool('session-opener', { workerData: null, queueMax: 1 });
  try {
    const opened: OpenedApart = await pool.run(options);
    if (opened.ok) return takeSession(opened.session);
    throw new OrtError(opened.code, opened.message);
  } finally {
    await pool.destroy();
  }
}

function bindingPathOf({ bindingModelPath }: Pick<DecoderGraph, 'bindingModelPath'>): string {
  if (bindingModelPath !== null) return bindingModelPath;
  throw new OrtError('unavailable', 'the official binding knows none of our own operators');
}

function sessionOptions(options: CpuBackendOptions, runtime: GraphSession['runtime']): SessionOptions {
  const { sizes, threadCount, spinning, provider = 'cpu' } = options;
  const graph = options.int8Kv === null ? options.graph : options.graph.int8Kv!;
  const modelPath = (provider === 'cpu' ? null : options.graph.deviceModelPath) ?? graph.modelPath;
  // Each worker computes on its own thread too. The one session lends its helpers to all workers, those of its own
  // that a worker has are its alone.
  return runtime === 'c-api'
    ? { modelPath, intraOpThreads: threadCount - sizes.replicaCount + 1, spinning, provider }
    : {
        modelPath: bindingPathOf(graph),
        intraOpThreads: Math.floor(threadCount / sizes.replicaCount),
        spinning,
      };
}
