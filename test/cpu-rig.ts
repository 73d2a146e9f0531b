// A tiny model on real worker threads, and the reference decoder beside it: what tests of the cpu backend share.
import { join } from 'node:path';
import {
  greedySampling,
  type RowOutcome,
  type SamplingParams,
  type StepOutcome,
  type StepPlan,
  type StepRow,
} from '../kernels/backend.ts';
import { WallClock } from '../kernels/clock.ts';
import { type CpuBackend, type CpuBackendOptions, createCpuBackend } from '../kernels/onnx/backend.ts';
import { loadCheckpoint } from '../models/checkpoint/checkpoint.ts';
import { type BuiltGraph, buildGraph } from '../models/graph/build.ts';
import type { Checkpoint } from '../models/weights/weights.ts';
import { writeTinyModel } from './golden/tiny-model.ts';
import { createReferenceDecoder, type ReferenceDecoder } from './reference-decoder.ts';

export interface TinyGraph {
  readonly checkpoint: Checkpoint;
  readonly graph: BuiltGraph;
  readonly reference: ReferenceDecoder;
}

/** A seeded random model of 3 layers at fp32, built into `directory`. */
export async function buildTinyGraph(directory: string): Promise<TinyGraph> {
  const checkpoint = loadCheckpoint(writeTinyModel(join(directory, 'model')));
  const graph = await buildGraph(checkpoint, {
    precision: 'fp32',
    cacheDirectory: join(directory, 'cache'),
  });
  return { checkpoint, graph, reference: createReferenceDecoder(checkpoint) };
}

export const greedy: SamplingParams = { ...greedySampling, seed: 17 };

export type RowInput = Pick<StepRow, 'slot' | 'position'> & {
  readonly tokens: ArrayLike<number>;
} & Partial<Omit<StepRow, 'tokens'>>;

export function rowOf(input: RowInput): StepRow {
  const tokens = Int32Array.from(input.tokens);
  return {
    sequenceId: input.slot,
    sampleCount: 1,
    sampling: greedy,
    promptCount: 0,
    history: null,
    masks: null,
    ...input,
    tokens,
  };
}

export type RigOptions = Partial<Omit<CpuBackendOptions, 'sizes'>> & {
  readonly sizes?: Partial<CpuBackendOptions['sizes']>;
};

/** A backend whose steps are promises. */
export class CpuRig {
  readonly backend: CpuBackend;

  constructor(backend: CpuBackend) {
    this.backend = backend;
  }

  static async open(graph: BuiltGraph, options: RigOptions = {}): Promise<CpuRig> {
    const { sizes, ...others } = options;
    const backend = await createCpuBackend({
      int8Kv: null,
      graph,
      sizes: {
        replicaCount: 1,
        slotCount: 8,
        slotTokensMax: 96,
        blockSize: 4,
        blockCount: 64,
        rowTokensMax: 16,
        stepTokensMax: 64,
        sampleCountMax: 5,
        roundsMax: 6,
        ...sizes,
      },
      runtime: 'c-api',
      threadCount: sizes?.replicaCount ?? 1,
      spinning: false,
      stepTimeoutMs: 30_000,
      openTimeoutMs: 30_000,
      tellIntervalMs: 0,
      clock: new WallClock(),
      log: { info: () => undefined, warn: () => undefined },
      ...others,
    });
    return new CpuRig(backend);
  }

  try(plan: Partial<Omit<StepPlan, 'rows'>> & { readonly rows: readonly RowInput[] }): Promise<StepOutcome> {
    const whole = { replica: 0, restores: [], saves: [], ...plan, rows: plan.rows.map(rowOf) };
    return new Promise((resolve) => this.backend.step(whole, resolve));
  }

  async step(plan: Parameters<CpuRig['try']>[0]): Promise<readonly RowOutcome[]> {
    const outcome = await this.try(plan);
    if (!outcome.ok) throw new Error(`${outcome.failure.code}: ${outcome.failure.message}`);
    return outcome.rows;
  }

  /** Computes a prompt in chunks that end at multiples of `chunkSize`; answers what was drawn after it. */
  async prefill(
    seat: { readonly replica?: number; readonly slot: number; readonly position?: number },
    tokens: ArrayLike<number>,
    chunkSize = 16,
  ): Promise<number> {
    const { replica = 0, slot, position: start = 0 } = seat;
    let drawn = -1;
    for (let position = start; position < tokens.length; ) {
      const end = Math.min(tokens.length, (Math.floor(position / chunkSize) + 1) * chunkSize);
      const chunk = Array.from(tokens).slice(position, end);
      const isLast = end === tokens.length;
      const rows = [{ slot, position, tokens: chunk, sampleCount: isLast ? 1 : 0 }];
      const [outcome] = await this.step({ replica, rows });
      if (isLast) drawn = outcome!.tokens[0]!;
      position = end;
    }
    return drawn;
  }

  /** One more token for each sequence in one step; appends what is drawn. Key: seat, value: the tokens so far. */
  async decode(sequences: ReadonlyMap<number, number[]>, replica = 0): Promise<void> {
    const entries = [...sequences];
    const rows = entries.map(([slot, tokens]) => ({
      slot,
      position: tokens.length - 1,
      tokens: [tokens.at(-1)!],
    }));
    const outcomes = await this.step({ replica, rows });
    for (const [index, [, tokens]] of entries.entries()) tokens.push(outcomes[index]!.tokens[0]!);
  }
}

/** A prompt of ordinary tokens, different for every seed. */
export function promptOf(seed: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (seed * 31 + i * 7 + ((i * i) % 13)) % 256);
}
