// What an int8 step of each KV channel is worth: measured once per model by computing some tokens with fp32 KV and
// looking at the largest number of each channel; of a key's two that turn together, at the length of both, since at
// positions never measured either may hold all of it. And where values begin: at those of a sequence's first token. Owns the
// file that remembers it. Before it: backend.ts; after it: kv-memory.ts carries the scales, bindings.ts hands them to the graph.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { bytesOf } from '../../models/graph/graph-writer.ts';
import { shiftSizes } from '../../models/graph/int8-attention-nodes.ts';
import type { ModelSpec } from '../../models/spec.ts';
import { GraphBindings } from './bindings.ts';
import { allocateSeats, type KvArrays, type KvScales, type KvShape } from './kv-memory.ts';
import type { GraphSession } from './runtime.ts';

/** What the scales are measured on, and where they are kept. */
export interface KvCalibration {
  readonly tokens: Int32Array; // [≥ 1] what the model usually reads; 512 are plenty
  readonly file: string; // absolute; named after the graph's content
}

const chunkTokens = 64;
// Beyond the largest number seen; what is larger still is clipped. Other texts show values of twice the size, rarely: SmolLM2
// diverged by 0.0019 nats with 1.5 for them, 0.0024 with 1.1 or with 1.3 for keys too.
const headrooms = { key: 1.1, value: 1.5 } as const;
const levels = 127;
// Most queries look most at a sequence's first token, whose values in most layers of a trained model hardly depend on what it
// is: SmolLM2 diverges by 0.0015 nats with values kept as distances from those, by 0.0019 with values as they are.
const firstTokensMax = 16;

/** The remembered scales, or null where there are none of these sizes. */
export function readKvScales(file: string, spec: ModelSpec): KvScales | null {
  const sizes = arraySizes(spec);
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return null;
  }
  const ends = sizes.map((_, index) => sizes.slice(0, index + 1).reduce((sum, size) => sum + size, 0));
  if (bytes.length !== ends.at(-1)! * Float32Array.BYTES_PER_ELEMENT) return null;
  const all = new Float32Array(new Uint8Array(bytes).buffer);
  const arrays = sizes.map((size, index) => all.subarray(ends[index]! - size, ends[index]!));
  const scales = { steps: arrays.slice(0, sizes.length / 2), shifts: arrays.slice(sizes.length / 2) };
  const isSound = scales.steps.every((steps) => steps.every((step) => step > 0));
  return isSound && all.every(Number.isFinite) ? scales : null;
}

/** Of all steps, then all shifts. */
function arraySizes(spec: ModelSpec): readonly number[] {
  const { layerCount, kvHeadCount, headSize } = spec;
  const { before, after } = shiftSizes(spec);
  const steps = Array.from({ length: 2 * layerCount }, () => kvHeadCount * headSize);
  return [...steps, ...Array.from({ length: layerCount }, () => [before, after]).flat()];
}

/** `session`: of the graph with fp32 KV. Remembers what it measured; a file that cannot be written is measured again. */
export function measureKvScales(
  session: GraphSession,
  graph: { readonly spec: ModelSpec; readonly topCount: number },
  { tokens, file }: KvCalibration,
): KvScales {
  const { spec } = graph;
  const { layerCount, kvHeadCount, headSize, vocabSize, contextLength } = spec;
  const count = Math.min(tokens.length, contextLength);
  const places = { slotCount: 1, slotTokensMax: count, blockSize: 1, blockCount: 0 };
  const shape: KvShape = { layerCount, kvHeadCount, headSize, ...places, scales: null };
  const seats = allocateSeats(shape, 'private');
  const bounds = { topCount: graph.topCount, vocabSize, runTokensMax: chunkTokens, logitRowsMax: 1 };
  const bindings = new GraphBindings(session, { shape, seats }, bounds);
  const run = (some: Int32Array, start: number) => {
    const tokenCount = some.length;
    bindings.inputIds.set(some);
    bindings.seqlensK[0] = start + tokenCount - 1;
    bindings.totalSequenceLength[0] = start + tokenCount;
    bindings.logitRows[0] = tokenCount - 1;
    bindings.get({ slotStart: 0, slotCount: 1, tokenCount, logitRowCount: 1 }).run();
  };
  const origins = originsOf(spec, seats, shape, (token) => run(tokens.subarray(token, token + 1), 0));
  for (let start = 0; start < count; start += chunkTokens)
    run(tokens.subarray(start, Math.min(count, start + chunkTokens)), start);
  bindings.release();
  const steps = seats.map((seat, array) => {
    const layer = array >> 1;
    if (array % 2 === 1)
      return stepsOf(seat, shape, { turnedSize: 0, headroom: headrooms.value, origin: origins[layer]! });
    const turnedSize = spec.layers[layer]!.rotary === 'none' ? 0 : spec.rotarySize;
    return stepsOf(seat, shape, { turnedSize, headroom: headrooms.key, origin: null });
  });
  const scales = { steps, shifts: origins.flatMap((origin) => shiftsOf(spec, origin)) };
  remember(file, scales);
  return scales;
}

/** For each layer, [kvHeadCount · headSize]: the mean of the values that some tokens have as the first of a sequence. */
function originsOf(
  spec: ModelSpec,
  seats: KvArrays,
  { kvHeadCount, headSize, slotTokensMax: tokenCount }: KvShape,
  runFirst: (token: number) => void,
): readonly Float32Array[] {
  const origins = Array.from({ length: spec.layerCount }, () => new Float32Array(kvHeadCount * headSize));
  if (spec.hasSinks) return origins; // weights that do not sum to 1 would not give back what was taken
  const count = Math.min(firstTokensMax, tokenCount);
  for (let index = 0; index < count; index++) {
    runFirst(Math.floor((index * tokenCount) / count));
    for (const [layer, origin] of origins.entries()) {
      const values = seats[2 * layer + 1]!;
      for (let channel = 0; channel < origin.length; channel++) {
        const head = Math.floor(channel / headSize);
        origin[channel]! += values[head * tokenCount * headSize + (channel % headSize)]! / count;
      }
    }
  }
  return origins;
}

/** [before attention, behind it], as the graph adds them. */
function shiftsOf(spec: ModelSpec, origin: Float32Array): readonly Float32Array[] {
  const { before, after } = shiftSizes(spec);
  const taken = new Float32Array(before); // values are the last of what is packed
  taken.set(
    origin.map((value) => -value),
    before - origin.length,
  );
  const { headSize, headCount, kvHeadCount } = spec;
  const given = new Float32Array(after);
  for (let head = 0; head < headCount; head++) {
    const from = Math.floor((head * kvHeadCount) / headCount) * headSize;
    given.set(origin.subarray(from, from + headSize), head * headSize);
  }
  return [taken, given];
}

interface Measure {
  readonly turnedSize: number;
  readonly headroom: number;
  readonly origin: Float32Array | null; // null: 0
}

/** `turnedSize`: channels of each head that turn with the position, the first half with the second. */
function stepsOf(
  seat: KvArrays[number],
  { kvHeadCount, slotTokensMax, headSize }: KvShape,
  { turnedSize, headroom, origin }: Measure,
): Float32Array {
  const steps = new Float32Array(kvHeadCount * headSize);
  const half = turnedSize / 2;
  for (let start = 0; start < seat.length; start += headSize) {
    const head = Math.floor(start / (slotTokensMax * headSize));
    for (let at = 0; at < headSize; at++) {
      const other = at >= turnedSize ? 0 : seat[start + (at < half ? at + half : at - half)]!;
      const channel = head * headSize + at;
      const own = seat[start + at]! - (origin?.[channel] ?? 0);
      steps[channel] = Math.max(steps[channel]!, Math.hypot(own, other));
    }
  }
  // One that is always zero may have any but none.
  return steps.map((largest) => Math.max(largest * headroom, 1e-6) / levels);
}

function remember(file: string, scales: KvScales): void {
  const whole = `${file}.part`; // another process that measures as well writes the same
  try {
    writeFileSync(whole, Buffer.concat([...scales.steps, ...scales.shifts].map(bytesOf)));
    renameSync(whole, file);
  } catch {
    // Nothing depends on it but the next start's time.
  }
}
