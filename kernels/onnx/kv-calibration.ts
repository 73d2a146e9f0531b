// What an int8 step of each KV channel is worth: measured once per model by computing some tokens with fp32 KV and
// looking at the largest number of each channel; of a key's two that turn together, at the length of both, since at
// positions never measured either may hold all of it. Owns the file that remembers it. Before it: backend.ts; after it:
// kv-memory.ts carries the scales, bindings.ts hands them to the graph.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
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
// diverges by 0.0019 nats with 1.5 for them, 0.0024 with 1.1 or with 1.3 for keys too.
const headrooms = { key: 1.1, value: 1.5 } as const;
const levels = 127;

/** The remembered scales, or null where there are none of this size. */
export function readKvScales(file: string, spec: ModelSpec): KvScales | null {
  const size = spec.kvHeadCount * spec.headSize;
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return null;
  }
  if (bytes.length !== 2 * spec.layerCount * size * Float32Array.BYTES_PER_ELEMENT) return null;
  const all = new Float32Array(new Uint8Array(bytes).buffer);
  if (!all.every((scale) => scale > 0 && Number.isFinite(scale))) return null;
  return Array.from({ length: 2 * spec.layerCount }, (_, i) => all.subarray(i * size, (i + 1) * size));
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
  for (let start = 0; start < count; start += chunkTokens) {
    const tokenCount = Math.min(chunkTokens, count - start);
    bindings.inputIds.set(tokens.subarray(start, start + tokenCount));
    bindings.seqlensK[0] = start + tokenCount - 1;
    bindings.totalSequenceLength[0] = start + tokenCount;
    bindings.logitRows[0] = tokenCount - 1;
    bindings.get({ slotStart: 0, slotCount: 1, tokenCount, logitRowCount: 1 }).run();
  }
  bindings.release();
  const scales = seats.map((seat, array) => {
    const kind = array % 2 === 0 ? 'key' : 'value';
    const isTurned = kind === 'key' && spec.layers[array >> 1]!.rotary !== 'none';
    return scalesOf(seat, shape, { turnedSize: isTurned ? spec.rotarySize : 0, headroom: headrooms[kind] });
  });
  remember(file, scales);
  return scales;
}

/** `turnedSize`: channels of each head that turn with the position, the first half with the second. */
function scalesOf(
  seat: KvArrays[number],
  { kvHeadCount, slotTokensMax, headSize }: KvShape,
  { turnedSize, headroom }: { readonly turnedSize: number; readonly headroom: number },
): Float32Array {
  const scales = new Float32Array(kvHeadCount * headSize);
  const half = turnedSize / 2;
  for (let start = 0; start < seat.length; start += headSize) {
    const head = Math.floor(start / (slotTokensMax * headSize));
    for (let at = 0; at < headSize; at++) {
      const other = at >= turnedSize ? 0 : seat[start + (at < half ? at + half : at - half)]!;
      const channel = head * headSize + at;
      scales[channel] = Math.max(scales[channel]!, Math.hypot(seat[start + at]!, other));
    }
  }
  // One that is always zero may have any but none.
  return scales.map((largest) => Math.max(largest * headroom, 1e-6) / levels);
}

function remember(file: string, scales: KvScales): void {
  const whole = `${file}.part`; // another process that measures as well writes the same
  try {
    writeFileSync(
      whole,
      Buffer.concat(scales.map((s) => new Uint8Array(s.buffer, s.byteOffset, s.byteLength))),
    );
    renameSync(whole, file);
  } catch {
    // Nothing depends on it but the next start's time.
  }
}
