// Activations have a few channels far larger than the rest, and rounding is by the largest. A channel divided by s before
// a matrix whose column is multiplied by s gives the same product, so that the matrix, which has precision to spare,
// carries a part of the range (SmoothQuant, arXiv:2211.10438, with its α = ½). The divisions are exact elsewhere: in the
// norm's gains, and in the rows of `up_proj`. Before it: build.ts with measured ranges; after it: decoder.ts.
import type { ModelSpec } from '../spec.ts';
import type { WeightSource } from '../weights/weights.ts';

/** Inputs whose channels can be divided at no cost; see LinearRole. */
export type SmoothedRole = 'attention-in' | 'feed-in' | 'feed-out';

/** Those of a decoder: where a norm stands before, and where a second matrix multiplies what the activation gives. */
export function smoothedRoles({ normPlacement, isGated, experts }: ModelSpec): readonly SmoothedRole[] {
  // What experts read goes to all of them, and their operator quantises by itself.
  if (experts !== null) return normPlacement === 'after' ? [] : ['attention-in'];
  const normed = normPlacement === 'after' ? [] : (['attention-in', 'feed-in'] as const);
  return isGated ? [...normed, 'feed-out'] : normed;
}

/** For each role and layer: the largest magnitude of each input channel, [hiddenSize] or, of feed-out, [ffnSize]. */
export type ActivationRanges = Readonly<Partial<Record<SmoothedRole, readonly Float32Array[]>>>;

/**
 * The same decoder in other weights: equal up to rounding at fp32, with channels that are nearer to each other. Changes in
 * place what `source` reads, which is a fresh array. */
export function smoothed(spec: ModelSpec, source: WeightSource, ranges: ActivationRanges): WeightSource {
  const factors = new Map<string, Float32Array>();
  const factorsOf = (role: SmoothedRole, layer: number): Float32Array => {
    const key = `${role}.${layer}`;
    const known = factors.get(key);
    if (known !== undefined) return known;
    const readers = readersOf(role, spec).map((name) => source.read(`model.layers.${layer}.${name}.weight`));
    const made = balance(ranges[role]![layer]!, readers);
    factors.set(key, made);
    return made;
  };
  return {
    ...(source.readRows !== undefined && { readRows: source.readRows }), // of tables, which are as they were
    read(name) {
      const values = source.read(name);
      const [, layerText, part, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
      if (part === undefined) return values;
      const layer = Number(layerText);
      const norm = normRoles[part];
      if (norm !== undefined && norm in ranges) return divide(values, factorsOf(norm, layer));
      if (part === 'mlp.up_proj' && 'feed-out' in ranges) divide(values, factorsOf('feed-out', layer));
      const role = readerRoles[part];
      if (role !== undefined && role in ranges && kind === 'weight')
        multiplyColumns(values, factorsOf(role, layer));
      return values;
    },
  };
}

const normRoles: Readonly<Record<string, SmoothedRole>> = {
  input_layernorm: 'attention-in',
  post_attention_layernorm: 'feed-in',
};
const readerRoles: Readonly<Record<string, SmoothedRole>> = {
  'self_attn.q_proj': 'attention-in',
  'self_attn.k_proj': 'attention-in',
  'self_attn.v_proj': 'attention-in',
  'mlp.gate_proj': 'feed-in',
  'mlp.up_proj': 'feed-in',
  'mlp.down_proj': 'feed-out',
};

function readersOf(role: SmoothedRole, { isGated }: ModelSpec): string[] {
  return Object.keys(readerRoles).filter(
    (name) => readerRoles[name] === role && (isGated || name !== 'mlp.gate_proj'),
  );
}

/** √(range of the channel / range of its column), about a geometric mean of 1. */
function balance(range: Float32Array, readers: readonly Float32Array[]): Float32Array {
  const size = range.length;
  const columns = new Float32Array(size);
  for (const matrix of readers) {
    for (let start = 0; start < matrix.length; start += size) {
      for (let column = 0; column < size; column++) {
        const magnitude = Math.abs(matrix[start + column]!);
        if (magnitude > columns[column]!) columns[column] = magnitude;
      }
    }
  }
  const floor = 1e-5; // a channel or column of zeros tells nothing
  const logs = Array.from(range, (own, at) => {
    return 0.5 * (Math.log(Math.max(own, floor)) - Math.log(Math.max(columns[at]!, floor)));
  });
  const mean = logs.reduce((sum, log) => sum + log, 0) / size;
  return Float32Array.from(logs, (log) => Math.exp(log - mean));
}

/** Rows of `values` by their factors: [size, anything] in place. */
function divide(values: Float32Array, factors: Float32Array): Float32Array {
  const width = values.length / factors.length;
  for (let row = 0; row < factors.length; row++) {
    const inverse = 1 / factors[row]!;
    for (let at = row * width; at < (row + 1) * width; at++) values[at]! *= inverse;
  }
  return values;
}

function multiplyColumns(values: Float32Array, factors: Float32Array): void {
  const size = factors.length;
  for (let start = 0; start < values.length; start += size) {
    for (let column = 0; column < size; column++) values[start + column]! *= factors[column]!;
  }
}
