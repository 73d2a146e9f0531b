// How large each channel of a decoder's activations becomes over some tokens: what models/graph/smoothing.ts balances by.
// Runs the graphs that the builder makes for it one after the other, once per build. Before it: server/device/device.ts hands it to the
// builder; after it: the session of ort.ts.
import { createHash } from 'node:crypto';
import type { Calibration } from '../../models/graph/build.ts';
import { rangeName } from '../../models/graph/decoder-context.ts';
import type { ProbePart } from '../../models/graph/probe.ts';
import { type SmoothedRole, smoothedRoles } from '../../models/graph/smoothing.ts';
import type { ModelSpec } from '../../models/spec.ts';
import { hasExactProducts } from './exact-products.ts';
import { openBindingSession, openSession } from './ort.ts';
import { OrtError } from './ort-error.ts';
import type { BoundTensor, GraphSession, SessionOptions } from './runtime.ts';

const chunkTokens = 64;

/** Deterministic: the same tokens, weights and kernels give the same ranges. */
export function calibrationOn(tokens: Int32Array, threads: number): Calibration {
  return {
    key: createHash('sha256').update(tokens).digest('hex'),
    get exactProducts() {
      return hasExactProducts();
    },
    async measure({ spec, parts }) {
      const counted = tokens.subarray(0, spec.contextLength);
      const ranges = Object.fromEntries(smoothedRoles(spec).map((role) => [role, zeros(spec, role)]));
      let states: Float32Array | null = null; // [tokens, hiddenSize], of the layers so far
      for await (const part of parts) {
        const session = await openAnySession({
          modelPath: part.modelPath,
          ...{ intraOpThreads: threads, spinning: false },
        });
        try {
          states = runPart(session, { ...{ spec, part, tokens: counted, states }, ranges });
        } finally {
          session.release();
        }
      }
      return ranges;
    },
  };
}

async function openAnySession(options: SessionOptions): Promise<GraphSession> {
  try {
    return openSession(options);
  } catch (error) {
    if (!(error instanceof OrtError) || error.code !== 'unavailable') throw error;
    return openBindingSession(options);
  }
}

interface PartRun {
  readonly spec: ModelSpec;
  readonly part: ProbePart;
  readonly tokens: Int32Array;
  readonly states: Float32Array | null; // null: of the first part, which embeds the tokens
  readonly ranges: Readonly<Record<string, readonly Float32Array[]>>; // by role and layer; grow
}

/** What the part's layers make of all tokens, [tokens, hiddenSize]. */
function runPart(session: GraphSession, { spec, part, tokens, states, ranges }: PartRun): Float32Array {
  const capacity = tokens.length;
  const answered = new Float32Array(capacity * spec.hiddenSize);
  const layers = Array.from({ length: part.to - part.from }, (_, index) => part.from + index);
  const caches = layers.flatMap((layer) =>
    ['key', 'value'].map((kind) => ({
      name: `${kind}.${layer}`,
      data: new Float32Array(spec.kvHeadCount * capacity * spec.headSize),
      shape: [1, spec.kvHeadCount, capacity, spec.headSize],
    })),
  );
  const prefixed = (prefix: string) => caches.map((cache) => ({ ...cache, name: `${prefix}_${cache.name}` }));
  for (let start = 0; start < capacity; start += chunkTokens) {
    const chunk = tokens.slice(start, start + chunkTokens);
    const length = start + chunk.length;
    const statesOf = (name: string, all: Float32Array): BoundTensor => ({
      ...{ name, data: all.subarray(start * spec.hiddenSize, length * spec.hiddenSize) },
      shape: [1, chunk.length, spec.hiddenSize],
    });
    const seen = layers.flatMap((layer) =>
      Object.entries(ranges).map(([role, all]) => ({
        role,
        layer,
        data: new Float32Array(all[layer]!.length),
      })),
    );
    const binding = session.bind(
      [
        states === null
          ? { name: 'input_ids', data: chunk, shape: [1, chunk.length] }
          : statesOf('past_states', states),
        { name: 'seqlens_k', data: Int32Array.of(length - 1), shape: [1] },
        { name: 'total_sequence_length', data: Int32Array.of(length), shape: [] },
        ...prefixed('past'),
      ],
      [
        statesOf('states', answered),
        ...seen.map(({ role, layer, data }) => ({
          ...{ name: rangeName(role as SmoothedRole, layer), data, shape: [data.length] },
        })),
        ...prefixed('present'),
      ],
    );
    binding.run();
    binding.release();
    for (const { role, layer, data } of seen) widen(ranges[role]![layer]!, data);
  }
  return answered;
}

function widen(range: Float32Array, seen: Float32Array): void {
  for (let channel = 0; channel < range.length; channel++) {
    if (seen[channel]! > range[channel]!) range[channel] = seen[channel]!;
  }
}

function zeros({ layerCount, hiddenSize, ffnSize }: ModelSpec, role: SmoothedRole): Float32Array[] {
  return Array.from(
    { length: layerCount },
    () => new Float32Array(role === 'feed-out' ? ffnSize : hiddenSize),
  );
}
