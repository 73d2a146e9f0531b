// Names of devices → backends: cpu, webgpu, sim, and every simulated chip (wse3, h100x2, …). Devices are loaded by dynamic import: a simulated one needs no native library.
// Before it: the composition root; after it: the backend of the device.
import type { ModelSpec } from '../models/spec.ts';
import type { Backend } from './backend.ts';
import type { Clock } from './clock.ts';
import type { DecoderGraph, DeviceSizes } from './onnx/backend.ts';
import type { KvCalibration } from './onnx/kv-calibration.ts';
import type { GuessRounding } from './onnx/messages.ts';
import type { WeightsPlace } from './sim/device.ts';
import type { SimPrecision } from './sim/precision.ts';

export interface BackendParts {
  readonly spec: ModelSpec;
  readonly sizes: DeviceSizes;
  readonly threadCount: number; // of all replicas together
  readonly stepTimeoutMs: number; // longer: the device counts as hung
  readonly tellIntervalMs: number; // tokens drawn within it are told together
  readonly openGraph: () => Promise<OpenedGraph>; // called only by devices that compute
  readonly simulated: SimulatedChoice;
  readonly opensApart?: boolean; // this thread has others to serve meanwhile
  readonly guesses?: GuessRounding;
  readonly clock: Clock;
  readonly log: BackendLog;
}

/** What a device computes with. */
export interface OpenedGraph {
  readonly graph: DecoderGraph;
  readonly int8Kv: KvCalibration | null; // null: KV as fp32
}

/** What runs on a simulated chip. */
export interface SimulatedChoice {
  readonly model: string; // a known shape, or a directory with a config.json
  readonly precision: SimPrecision | null; // null: as the model is published
  readonly weights: WeightsPlace; // of wafers
  readonly text: 'noise' | 'model'; // model: the served model's own answers, computed on the cpu
}

export interface BackendLog {
  info(message: string, fields: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

/** A name that no device has. */
export class UnknownBackendError extends Error {
  override readonly name = 'UnknownBackendError';

  constructor(name: string, chipNames: readonly string[]) {
    const chips = `or a simulated chip: ${chipNames.join(', ')}, each with xN for several`;
    super(`backend ${JSON.stringify(name)} is not known; known are ${backendNames.join(', ')}, ${chips}`);
  }
}

// A thread starts within a second; through the official binding it also loads the weights.
const openTimeoutMs = 120_000;

const devices: Readonly<Record<string, (parts: BackendParts) => Promise<Backend>>> = {
  cpu: (parts) => openComputing(parts, 'cpu'),
  async webgpu(parts) {
    // Before anything is converted: a session of a graph of no size finds the adapter, or says what there is none for.
    const { requireAdapter } = await import('./onnx/device-runtime.ts');
    requireAdapter();
    return openComputing(parts, 'webgpu');
  },
  async cuda() {
    const { cudaRefusal } = await import('./onnx/adapter.ts');
    throw cudaRefusal();
  },
  async sim({ sizes, spec, clock }) {
    const { SimBackend } = await import('./sim/backend.ts');
    const { linearCostModel } = await import('./sim/cost-model.ts');
    const limits = { ...sizes, vocabSize: spec.vocabSize, logprobsMax: Math.min(20, spec.vocabSize) };
    // About what spark-nano takes on two cores; the tokens mean nothing.
    const costModel = linearCostModel({ stepMs: 0.4, rowMs: 0.05, tokenMs: 0.15, blockMs: 0.02 });
    return new SimBackend('sim', { limits, clock, costModel, faults: null });
  },
};

async function openComputing(parts: BackendParts, provider: 'cpu' | 'webgpu'): Promise<Backend> {
  const { createCpuBackend } = await import('./onnx/backend.ts');
  const { sizes, threadCount, stepTimeoutMs, tellIntervalMs, opensApart = false, guesses = 'alone' } = parts;
  const { clock, log } = parts;
  const { graph, int8Kv } = await parts.openGraph();
  // Spinning: 0.39 ms against 0.44–0.54 for a step of a small model. Workers do nothing else.
  const chosen = { provider, runtime: 'auto', spinning: provider === 'cpu', openTimeoutMs } as const;
  return createCpuBackend({
    graph,
    int8Kv,
    sizes,
    threadCount,
    stepTimeoutMs,
    tellIntervalMs,
    opensApart,
    guesses,
    clock,
    log,
    ...chosen,
  });
}

export const backendNames: readonly string[] = Object.keys(devices).filter((name) => name !== 'cuda');

/** What may be named, for people who choose: chips (each also with xN for several) and the models whose shapes are known. */
export interface DeviceCatalogue {
  readonly devices: readonly string[];
  readonly models: readonly string[];
  readonly precisions: readonly SimPrecision[];
}

export async function deviceCatalogue(): Promise<DeviceCatalogue> {
  const [{ DEVICE_NAMES }, { SHAPES }, { PRECISIONS }] = await Promise.all([
    import('./sim/device.ts'),
    import('./sim/catalogue.ts'),
    import('./sim/precision.ts'),
  ]);
  return {
    devices: [...backendNames, ...DEVICE_NAMES],
    models: SHAPES.map(({ name }) => name),
    precisions: PRECISIONS,
  };
}

/** Loads the device and makes it ready. Rejects with UnknownBackendError, or with what the device cannot do. */
export async function createBackend(name: string, parts: BackendParts): Promise<Backend> {
  const create = Object.hasOwn(devices, name) ? devices[name] : undefined;
  return create === undefined ? createSimulated(name, parts) : create(parts);
}

async function createSimulated(name: string, parts: BackendParts): Promise<Backend> {
  const { DEVICE_NAMES } = await import('./sim/device.ts');
  if (!DEVICE_NAMES.includes(name.replace(/x[1-9][0-9]{0,2}$/, '')))
    throw new UnknownBackendError(name, DEVICE_NAMES);
  const { openSimulated } = await import('./sim/served.ts');
  const { shapeNamed } = await import('./sim/shape-file.ts');
  const { simulated, clock, spec, sizes } = parts;
  const inner = simulated.text === 'model' ? await devices['cpu']!(parts) : null;
  const shape = shapeNamed(simulated.model);
  return openSimulated({
    device: name,
    shape,
    precision: simulated.precision ?? shape.publishedPrecision,
    weights: simulated.weights,
    vocabSize: spec.vocabSize,
    contextTokensMax: sizes.slotTokensMax,
    blockSize: sizes.blockSize,
    clock,
    inner,
  });
}
