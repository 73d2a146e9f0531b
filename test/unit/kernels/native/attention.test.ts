// Our own attention, through ONNX Runtime: what it computes and keeps, and that a token has the same bits whoever comes with it,
// wherever a row was cut, and on any number of threads.
import { describe, expect, test } from 'vitest';
import { openSessionOf } from '../../../../kernels/onnx/ort.ts';
import { nativeLibraryPath } from '../../../../kernels/onnx/own-library.ts';
import { Random } from '../../../../kernels/random.ts';
import { type DataType, encodeModel, ownDomain } from '../../../../models/onnx/onnx-proto.ts';

const isHere = nativeLibraryPath() !== null;
if (!isHere) console.info('skipped: no operators of our own for this machine');

interface Form {
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
  readonly half: number; // channels that turn with as many others
  readonly window?: number;
  readonly softcap?: number;
  readonly hasSinks?: boolean;
  readonly isInt8?: boolean;
  readonly isSplit?: boolean; // keys and values are inputs of their own
}

const length = 140; // more than two pieces of context
const capacity = 143;

const forms: readonly Form[] = [
  { heads: 9, kvHeads: 3, size: 64, half: 32 },
  { heads: 9, kvHeads: 3, size: 64, half: 32, isInt8: true },
  { heads: 4, kvHeads: 4, size: 32, half: 8, window: 70, isSplit: true },
  { heads: 8, kvHeads: 1, size: 128, half: 64, softcap: 20, isInt8: true, isSplit: true },
  { heads: 14, kvHeads: 2, size: 40, half: 13, hasSinks: true },
  { heads: 2, kvHeads: 1, size: 256, half: 0, window: 5, hasSinks: true, isInt8: true },
];

describe.skipIf(!isHere).each(forms.map((form) => [JSON.stringify(form), form] as const))('%s', (_, form) => {
  test('answers and what is kept', () => {
    const text = textOf(form);
    const session = new AttentionSession(form, 1);
    const kept = emptyCache(form);
    const answers = session.row(text, kept, 0, length);
    const expected = reference(form, text, kept);
    for (const [at, value] of expected) expect(Math.abs(answers[at]! - value)).toBeLessThan(2e-5);
    session.release();
  });

  test('a token has the same bits in every row', () => {
    const text = textOf(form);
    const [one, two] = [new AttentionSession(form, 1), new AttentionSession(form, 2)];
    const alone = emptyCache(form);
    const size = form.heads * form.size;
    const answers = new Float32Array(length * size);
    for (let at = 0; at < length; at++) answers.set(one.row(text, alone, at, 1), at * size);
    for (const [session, rowSize] of [
      [two, 1],
      [one, length],
      [two, length],
      [one, 17],
      [two, 5],
      [two, 64],
    ] as const) {
      const kept = emptyCache(form);
      for (let at = 0; at < length; at += rowSize) {
        const count = Math.min(rowSize, length - at);
        const row = session.row(text, kept, at, count);
        expect(sameBits(row, answers.subarray(at * size, (at + count) * size)), `${count} at ${at}`).toBe(
          true,
        );
      }
      expect(sameBits(kept.keys, alone.keys) && sameBits(kept.values, alone.values)).toBe(true);
    }
    const places = [3, 64, 127, 139];
    const batch = two.batch(text, alone, places);
    for (const [index, place] of places.entries()) {
      const own = batch.subarray(index * size, (index + 1) * size);
      expect(sameBits(own, answers.subarray(place * size, (place + 1) * size)), `at ${place}`).toBe(true);
    }
    one.release();
    two.release();
  });
});

describe.skipIf(!isHere)('what does not fit', () => {
  const form: Form = { heads: 2, kvHeads: 1, size: 8, half: 4 };

  test('is refused before anything is written', () => {
    const session = new AttentionSession(form, 1);
    const kept = emptyCache(form);
    const text = textOf(form);
    expect(() => session.run(text, kept, { lasts: [capacity], count: 1 })).toThrow('longer than its memory');
    expect(() => session.run(text, kept, { lasts: [0], count: 2 })).toThrow('longer than its memory');
    expect(kept.keys.every((value) => value === 0)).toBe(true);
    session.release();
  });

  test('is refused by its form', () => {
    const text = textOf({ ...form, size: 12, half: 6 });
    const odd = { ...form, size: 12, half: 6 };
    const session = new AttentionSession(odd, 1);
    expect(() => session.row(text, emptyCache(odd), 0, 1)).toThrow('no attention of such heads');
    session.release();
    expect(() => new AttentionSession({ ...form, heads: 3, kvHeads: 2 }, 1)).toThrow('no such attention');
  });

  test('values that are no numbers stay with the tokens that see them', () => {
    const session = new AttentionSession(form, 1);
    const kept = emptyCache(form);
    const text = textOf(form);
    text.fill(Number.NaN, 7 * rowSize(form), 8 * rowSize(form));
    const answers = session.row(text, kept, 0, 9);
    const size = form.heads * form.size;
    expect(answers.subarray(0, 7 * size).every(Number.isFinite)).toBe(true);
    expect(answers.subarray(7 * size).some(Number.isFinite)).toBe(false);
    session.release();
  });
});

interface Cache {
  readonly keys: Float32Array | Int8Array;
  readonly values: Float32Array | Int8Array;
}

function emptyCache({ kvHeads, size, isInt8 = false }: Form): Cache {
  const make = () => new (isInt8 ? Int8Array : Float32Array)(kvHeads * capacity * size);
  return { keys: make(), values: make() };
}

function rowSize({ heads, kvHeads, size }: Form): number {
  return (heads + 2 * kvHeads) * size;
}

/** [length, heads + 2 · kvHeads, size] */
function textOf(form: Form): Float32Array {
  const random = new Random(form.heads * form.size);
  return valuesOf(random, length * rowSize(form), 1.5);
}

function valuesOf(random: Random, count: number, most: number): Float32Array {
  return Float32Array.from({ length: count }, () => most * (2 * random.next() - 1));
}

/** What the operator reads beside the tokens. */
function settingsOf({ heads, kvHeads, size, half }: Form) {
  const random = new Random(size);
  const kvSize = kvHeads * size;
  const angle = (at: number) => Math.floor(at / half) * 10_000 ** (-(at % half) / half);
  const places = capacity * half;
  return {
    cos: Float32Array.from({ length: places }, (_, at) => Math.cos(angle(at))),
    sin: Float32Array.from({ length: places }, (_, at) => Math.sin(angle(at))),
    sinks: valuesOf(random, heads, 3),
    keyScale: valuesOf(random, kvSize, 0.005).map((value) => value + 0.022),
    valueScale: valuesOf(random, kvSize, 0.005).map((value) => value + 0.022),
    valueShift: valuesOf(random, kvSize, 0.3),
    answerShift: valuesOf(random, heads * size, 0.3),
  };
}

/** Some of the answers, by their place, in double precision over what was kept. */
function reference(form: Form, text: Float32Array, { keys, values }: Cache): Map<number, number> {
  const { heads, kvHeads, size, half, window = length, softcap = 0, isInt8 = false } = form;
  const settings = settingsOf(form);
  const answers = new Map<number, number>();
  const turned = (from: number, place: number, channel: number) => {
    if (channel >= 2 * half) return text[from + channel]!;
    const at = place * half + (channel % half);
    const other = channel < half ? -text[from + channel + half]! : text[from + channel - half]!;
    return text[from + channel]! * settings.cos[at]! + other * settings.sin[at]!;
  };
  const kept = (cache: Float32Array | Int8Array, scales: Float32Array, kvHead: number, at: number) =>
    Array.from({ length: size }, (_, channel) => {
      const value = cache[(kvHead * capacity + at) * size + channel]!;
      return isInt8 ? value * scales[kvHead * size + channel]! : value;
    });
  for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
    const all = Array.from({ length }, (_, at) => ({
      key: kept(keys, settings.keyScale, kvHead, at),
      value: kept(values, settings.valueScale, kvHead, at),
    }));
    for (const [at, { key, value }] of all.entries()) {
      const from = at * rowSize(form) + (heads + kvHead) * size;
      for (let channel = 0; channel < size; channel++) {
        const shift = isInt8 ? settings.valueShift[kvHead * size + channel]! : 0;
        const step = (scales: Float32Array) => (isInt8 ? 0.501 * scales[kvHead * size + channel]! : 1e-6);
        const own = text[from + kvHeads * size + channel]! + shift;
        expect(Math.abs(key[channel]! - turned(from, at, channel))).toBeLessThan(step(settings.keyScale));
        expect(Math.abs(value[channel]! - own)).toBeLessThan(step(settings.valueScale));
      }
    }
    for (let head = (kvHead * heads) / kvHeads; head < ((kvHead + 1) * heads) / kvHeads; head++) {
      for (const at of [0, 1, 5, 62, 63, 64, 65, 127, 128, 139]) {
        const query = Array.from({ length: size }, (_, c) => turned(at * rowSize(form) + head * size, at, c));
        const seen = all.slice(Math.max(0, at + 1 - window), at + 1);
        const weights = seen.map(({ key }) => {
          const score = query.reduce((sum, value, c) => sum + value * key[c]!, 0);
          return Math.exp(softcap === 0 ? score : softcap * Math.tanh(score / softcap));
        });
        const sink = form.hasSinks === true ? Math.exp(settings.sinks[head]!) : 0;
        const total = weights.reduce((sum, weight) => sum + weight, sink);
        for (let c = 0; c < size; c++) {
          const sum = weights.reduce((so, weight, index) => so + weight * seen[index]!.value[c]!, 0);
          const shift = isInt8 ? settings.answerShift[head * size + c]! : 0;
          answers.set((at * heads + head) * size + c, sum / total + shift);
        }
      }
    }
  }
  return answers;
}

class AttentionSession {
  readonly #form: Form;
  readonly #settings: ReturnType<typeof settingsOf>;
  readonly #session: ReturnType<typeof openSessionOf>;

  constructor(form: Form, threads: number) {
    this.#form = form;
    this.#settings = settingsOf(form);
    this.#session = openSessionOf(modelOf(form), { intraOpThreads: threads, spinning: false });
  }

  /** Tokens of one sequence. */
  row(text: Float32Array, kept: Cache, at: number, count: number): Float32Array {
    const part = text.subarray(at * rowSize(this.#form), (at + count) * rowSize(this.#form));
    return this.run(part, kept, { lasts: [at + count - 1], count });
  }

  /** The tokens at some places of a sequence, as sequences beside each other that have it so far. */
  batch(text: Float32Array, kept: Cache, places: readonly number[]): Float32Array {
    const size = rowSize(this.#form);
    const part = new Float32Array(places.length * size);
    for (const [index, place] of places.entries())
      part.set(text.subarray(place * size, (place + 1) * size), index * size);
    const repeated = (memory: Cache['keys']) => {
      const all = new (memory.constructor as typeof Float32Array)(places.length * memory.length);
      for (const index of places.keys()) all.set(memory, index * memory.length);
      return all;
    };
    const all = { keys: repeated(kept.keys), values: repeated(kept.values) };
    return this.run(part, all, { lasts: places, count: 1 });
  }

  run(part: Float32Array, kept: Cache, { lasts, count }: { lasts: readonly number[]; count: number }) {
    const { heads, kvHeads, size, isSplit = false, isInt8 = false, half } = this.#form;
    const { cos, sin, sinks, keyScale, valueScale, valueShift, answerShift } = this.#settings;
    const batch = lasts.length;
    const kvShape = [batch, kvHeads, capacity, size];
    const rows = batch * count;
    const columns = (from: number, width: number) => {
      const picked = new Float32Array(rows * width);
      for (let row = 0; row < rows; row++) {
        const start = row * rowSize(this.#form) + from;
        picked.set(part.subarray(start, start + width), row * width);
      }
      return picked;
    };
    const tensor = (name: string, data: Float32Array, shape: readonly number[]) => ({ name, data, shape });
    const of = (name: string, from: number, width: number) =>
      tensor(name, columns(from, width), [batch, count, width]);
    const kvSize = kvHeads * size;
    const shift = new Float32Array(isSplit ? kvSize : rowSize(this.#form));
    shift.set(valueShift, shift.length - kvSize);
    const answers = new Float32Array(rows * heads * size);
    const memory = (prefix: string) => [
      { name: `${prefix}_key`, data: kept.keys, shape: kvShape },
      { name: `${prefix}_value`, data: kept.values, shape: kvShape },
    ];
    const binding = this.#session.bind(
      [
        of('query', 0, isSplit ? heads * size : rowSize(this.#form)),
        ...(isSplit ? [of('key', heads * size, kvSize), of('value', heads * size + kvSize, kvSize)] : []),
        ...memory('past'),
        { name: 'lasts', data: Int32Array.from(lasts), shape: [batch] },
        ...(half === 0 ? [] : [tensor('cos', cos, [capacity, half]), tensor('sin', sin, [capacity, half])]),
        ...(this.#form.hasSinks === true ? [tensor('sinks', sinks, [heads])] : []),
        ...(isInt8
          ? [
              tensor('key_scale', keyScale, [1, kvHeads, 1, size]),
              tensor('value_scale', valueScale, [1, kvHeads, 1, size]),
              tensor('value_shift', shift, [shift.length]),
              tensor('answer_shift', answerShift, [heads * size]),
            ]
          : []),
      ],
      [tensor('attended', answers, [batch, count, heads * size]), ...memory('present')],
    );
    try {
      binding.run();
    } finally {
      binding.release();
    }
    return answers;
  }

  release(): void {
    this.#session.release();
  }
}

function modelOf({ heads, kvHeads, half, window = 0, softcap = 0, ...form }: Form): Uint8Array {
  const { hasSinks = false, isInt8 = false, isSplit = false } = form;
  const scales = isInt8 ? ['key_scale', 'value_scale', 'value_shift', 'answer_shift'] : [];
  const left = [...(isSplit ? ['key', 'value'] : ['', '']), ...(half === 0 ? ['', ''] : ['cos', 'sin'])];
  const inputs = ['query', 'past_key', 'past_value', 'lasts', ...scales, ...left, hasSinks ? 'sinks' : ''];
  const kept = isInt8 ? 'int8' : 'float';
  const typeOf = (name: string): DataType =>
    name === 'lasts' ? 'int32' : /^p.*_/.test(name) ? kept : 'float';
  const rankOf = (name: string) => {
    if (/^past|^present|scale$/.test(name)) return 4;
    if (name === 'cos' || name === 'sin') return 2;
    return name === 'lasts' || name === 'sinks' || name.endsWith('shift') ? 1 : 3;
  };
  const value = (name: string) => ({
    ...{ name, type: typeOf(name) },
    shape: Array.from({ length: rankOf(name) }, (_, axis) => `${name}.${axis}`),
  });
  const outputs = ['attended', 'present_key', 'present_value'];
  const graph = {
    name: 'attention',
    nodes: [
      {
        ...{ operator: isInt8 ? 'Int8Attention' : 'Attention', domain: ownDomain, name: 'attention' },
        ...{ inputs, outputs },
        attributes: {
          heads: { int: heads },
          kvHeads: { int: kvHeads },
          window: { int: window },
          softcap: { float: softcap },
        },
      },
    ],
    initializers: [],
    inputs: inputs.filter((name) => name !== '').map(value),
    outputs: outputs.map(value),
  } as const;
  return encodeModel(graph, { name: 'sparklane', version: '1' });
}

function sameBits(a: Cache['keys'], b: Cache['keys']): boolean {
  const bytes = (array: Cache['keys']) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  return bytes(a).equals(bytes(b));
}
