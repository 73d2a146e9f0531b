// How large each channel of a decoder's activations becomes over some tokens: what models/graph/smoothing.ts balances by.
// Runs the probe graph that the builder makes for it, once per build. Before it: server/device/device.ts hands it to the
// builder; after it: the session of ort.ts.
import { createHash } from 'node:crypto';
import type { Calibration, ProbeGraph } from '../../models/graph/build.ts';
import { type ActivationRanges, type SmoothedRole, smoothedRoles } from '../../models/graph/smoothing.ts';
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
    async measure(probe) {
      const options = { modelPath: probe.modelPath, intraOpThreads: threads, spinning: false };
      const session = await openAnySession(options);
      try {
        return rangesOf(session, probe, tokens.subarray(0, probe.spec.contextLength));
      } finally {
        session.release();
      }
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

function rangesOf(
  session: GraphSession,
  { spec, rangeNames }: ProbeGraph,
  tokens: Int32Array,
): ActivationRanges {
  const capacity = tokens.length;
  const measured = smoothedRoles(spec).map((role) => ({ role, layers: zeros(spec, role) }));
  const caches = Array.from({ length: spec.layerCount }, (_, layer) =>
    ['key', 'value'].map((kind) => ({
      name: `${kind}.${layer}`,
      data: new Float32Array(spec.kvHeadCount * capacity * spec.headSize),
      shape: [1, spec.kvHeadCount, capacity, spec.headSize],
    })),
  ).flat();
  const prefixed = (prefix: string) => caches.map((cache) => ({ ...cache, name: `${prefix}_${cache.name}` }));
  for (let start = 0; start < capacity; start += chunkTokens) {
    const chunk = tokens.slice(start, start + chunkTokens);
    const outputs: BoundTensor[] = measured.flatMap(({ role, layers }) =>
      layers.map(({ length }, layer) => ({
        name: rangeNames(role, layer),
        data: new Float32Array(length),
        shape: [length],
      })),
    );
    const length = start + chunk.length;
    const inputs: BoundTensor[] = [
      { name: 'input_ids', data: chunk, shape: [1, chunk.length] },
      { name: 'seqlens_k', data: Int32Array.of(length - 1), shape: [1] },
      { name: 'total_sequence_length', data: Int32Array.of(length), shape: [] },
      // All rows, so that the last layer's feed-forward sees them too.
      { name: 'logit_rows', data: Int32Array.from(chunk.keys()), shape: [chunk.length] },
      { name: 'alone_count', data: new BigInt64Array(1), shape: [] },
    ];
    const binding = session.bind([...inputs, ...prefixed('past')], [...outputs, ...prefixed('present')]);
    binding.run();
    binding.release();
    const merged = measured.flatMap(({ layers }) => layers);
    for (const [index, range] of merged.entries()) {
      const seen = outputs[index]!.data as Float32Array;
      for (let channel = 0; channel < range.length; channel++) {
        if (seen[channel]! > range[channel]!) range[channel] = seen[channel]!;
      }
    }
  }
  return Object.fromEntries(measured.map(({ role, layers }) => [role, layers]));
}

function zeros({ layerCount, hiddenSize, ffnSize }: ProbeGraph['spec'], role: SmoothedRole): Float32Array[] {
  return Array.from(
    { length: layerCount },
    () => new Float32Array(role === 'feed-out' ? ffnSize : hiddenSize),
  );
}
