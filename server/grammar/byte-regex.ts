// Regular expressions over bytes as an algebra: equal expressions are one object, and `derive` gives what is left to
// match after a byte (Brzozowski's derivatives), so counted repeats, intersections and complements need no expansion.
// Never sees characters: code-points.ts and pattern.ts write these. After it: automaton.ts walks the derivatives.

import { WideMap } from './wide-map.ts';

export type Regex =
  | (RegexBase & { readonly kind: 'never' | 'empty' })
  | (RegexBase & { readonly kind: 'bytes'; readonly set: ByteSet })
  | (RegexBase & { readonly kind: 'concat'; readonly first: Regex; readonly rest: Regex })
  | (RegexBase & { readonly kind: 'or' | 'and'; readonly parts: readonly Regex[] })
  | (RegexBase & { readonly kind: 'not'; readonly inner: Regex })
  | (RegexBase & {
      readonly kind: 'repeat';
      readonly inner: Regex;
      readonly min: number;
      readonly max: number;
    })
  | (RegexBase & { readonly kind: 'multiple'; readonly of: Multiple });

interface RegexBase {
  readonly id: number; // of this expression, never given to another
  readonly nullable: boolean; // matches the empty text
  readonly plain: boolean; // no `and`, `not` or `multiple` inside: then only `never` matches nothing
  readonly count: number; // the largest of a repeat inside; 0: there is none
}

/** 256 bits. */
export type ByteSet = Uint32Array;

/** Decimal digits, perhaps with a point, whose value is a multiple of divisor · 10^−scale. */
export interface Multiple {
  readonly divisor: number; // integer ≥ 1
  readonly scale: number; // digits allowed after the point
  readonly remainder: number; // of the digits so far
  readonly fractionLeft: number | null; // digits still allowed after the point; null before it
}

/**
 * Makes expressions. One per grammar, so that it goes when the grammar goes. It may use the expressions that an older
 * table had made by then, but no younger ones: their numbers are its own as well.
 */
export class RegexTable {
  /** Units of work done since the beginning: expressions derived and parts looked at. About 1 µs each. */
  work = 0;
  readonly classes = new Map<string, readonly (readonly [low: number, high: number])[]>(); // of characters, by name
  #nextId = 0;
  readonly #firstId: number;
  readonly #interned = new WideMap<string, Regex>();
  readonly #concats = new WideMap<number, Regex>();
  readonly #pairs = { or: new WideMap<number, Regex>(), and: new WideMap<number, Regex>() };
  readonly #singles: Regex[] = []; // [256] made so far
  readonly #derived = new WideMap<number, Regex>(); // 256 · id + byte → what is left
  readonly never: Regex;
  readonly empty: Regex;
  readonly anything: Regex; // any bytes at all

  constructor(older: RegexTable | null = null) {
    this.#nextId = older === null ? 0 : older.#nextId;
    this.#firstId = this.#nextId;
    const base = { plain: true, count: 0 };
    this.never = older?.never ?? { kind: 'never', id: this.#nextId++, nullable: false, ...base };
    this.empty = older?.empty ?? { kind: 'empty', id: this.#nextId++, nullable: true, ...base };
    this.anything = older?.anything ?? this.repeat(this.range(0, 255), 0);
  }

  /** Expressions made so far. */
  get made(): number {
    return this.#nextId - this.#firstId;
  }

  /** Frees what is remembered. Expressions live on, but equal ones made later are other objects. */
  forget(): void {
    this.#interned.clear();
    this.#singles.length = 0;
    this.#concats.clear();
    this.#pairs.or.clear();
    this.#pairs.and.clear();
    this.#derived.clear();
  }

  range(low: number, high: number): Regex {
    if (low === high) {
      this.#singles[low] ??= this.#rangeOf(low, low);
      return this.#singles[low];
    }
    return this.#rangeOf(low, high);
  }

  #rangeOf(low: number, high: number): Regex {
    const set = new Uint32Array(8);
    for (let byte = low; byte <= high; byte++) set[byte >>> 5]! |= 1 << (byte & 31);
    return this.bytes(set);
  }

  bytes(set: ByteSet): Regex {
    if (set.every((word) => word === 0)) return this.never;
    return this.#intern(`b${set.join(',')}`, spreadOf(set), (id) => ({
      kind: 'bytes',
      id,
      set,
      nullable: false,
      plain: true,
      count: 0,
    }));
  }

  literal(bytes: ArrayLike<number>, rest: Regex = this.empty): Regex {
    let regex = rest;
    for (let i = bytes.length - 1; i >= 0; i--) regex = this.concat(this.range(bytes[i]!, bytes[i]!), regex);
    return regex;
  }

  text(text: string): Regex {
    return this.literal(new TextEncoder().encode(text));
  }

  sequence(...parts: readonly Regex[]): Regex {
    return parts.reduceRight((rest, part) => this.concat(part, rest), this.empty);
  }

  concat(first: Regex, rest: Regex): Regex {
    if (first.kind === 'never' || rest.kind === 'never') return this.never;
    if (first.kind === 'empty') return rest;
    if (rest.kind === 'empty') return first;
    if (first.kind === 'concat') {
      // Leans to the right, so that deriving looks at the first part only. A loop: literals may be long.
      const parts: Regex[] = [];
      let left: Regex = first;
      for (; left.kind === 'concat'; left = left.rest) parts.push(left.first);
      return parts.reduceRight((joined, part) => this.concat(part, joined), this.concat(left, rest));
    }
    const key = pairKey(first, rest);
    const spread = first.id + rest.id;
    let joined = this.#concats.get(key, spread);
    if (joined === undefined) {
      joined = {
        kind: 'concat',
        id: this.#nextId++,
        first,
        rest,
        nullable: first.nullable && rest.nullable,
        plain: first.plain && rest.plain,
        count: Math.max(first.count, rest.count),
      };
      this.#concats.add(key, spread, joined);
    }
    return joined;
  }

  or(parts: readonly Regex[]): Regex {
    const chosen: Regex[] = [];
    let set: ByteSet | null = null;
    for (const part of parts) {
      for (const one of part.kind === 'or' ? part.parts : [part]) {
        if (one.kind === 'bytes') set = set === null ? one.set : union(set, one.set);
        else if (one.kind !== 'never') chosen.push(one);
      }
    }
    if (set !== null) chosen.push(this.bytes(set));
    const hasOther = chosen.some((part) => part.nullable && part.kind !== 'empty');
    return this.#combine('or', hasOther ? chosen.filter(({ kind }) => kind !== 'empty') : chosen);
  }

  and(parts: readonly Regex[]): Regex {
    const chosen: Regex[] = [];
    for (const part of parts) {
      for (const one of part.kind === 'and' ? part.parts : [part]) {
        if (one.kind === 'never') return this.never;
        if (one !== this.anything) chosen.push(one);
      }
    }
    if (chosen.some(({ kind }) => kind === 'empty')) {
      return chosen.every(({ nullable }) => nullable) ? this.empty : this.never;
    }
    return this.#combine('and', chosen);
  }

  not(inner: Regex): Regex {
    if (inner.kind === 'not') return inner.inner;
    if (inner.kind === 'never') return this.anything;
    if (inner === this.anything) return this.never;
    return this.#intern(`n${inner.id}`, inner.id, (id) => ({
      kind: 'not',
      id,
      inner,
      nullable: !inner.nullable,
      plain: false,
      count: inner.count,
    }));
  }

  /** `max` is inclusive; without it there is no bound. */
  repeat(inner: Regex, min: number, max: number = Number.POSITIVE_INFINITY): Regex {
    if (max === 0 || inner.kind === 'empty') return this.empty;
    if (inner.kind === 'never') return min === 0 ? this.empty : this.never;
    if (min === 1 && max === 1) return inner;
    // What may be empty may be left out as often as one likes.
    const least = inner.nullable ? 0 : min;
    return this.#intern(`r${inner.id},${least},${max}`, inner.id + least, (id) => ({
      kind: 'repeat',
      id,
      inner,
      min: least,
      max,
      nullable: least === 0,
      plain: inner.plain,
      count: Math.max(inner.count, Number.isFinite(max) ? max : least > 1 ? least : 0),
    }));
  }

  multiple(of: Multiple): Regex {
    const key = `m${of.divisor},${of.scale},${of.remainder},${of.fractionLeft}`;
    return this.#intern(key, of.remainder, (id) => ({
      kind: 'multiple',
      id,
      of,
      nullable: isMultiple(of),
      plain: false,
      count: 0,
    }));
  }

  /** What must follow `byte` for the whole to match. Remembered, as parts recur in many expressions. */
  derive(regex: Regex, byte: number): Regex {
    if (regex.kind === 'never' || regex.kind === 'empty') return this.never;
    if (regex.kind === 'bytes') return hasByte(regex.set, byte) ? this.empty : this.never;
    // Most of what is derived is a literal: nothing to remember.
    if (regex.kind === 'concat' && regex.first.kind === 'bytes') {
      return hasByte(regex.first.set, byte) ? regex.rest : this.never;
    }
    const key = 256 * regex.id + byte;
    const spread = regex.id + byte;
    let left = this.#derived.get(key, spread);
    if (left === undefined) {
      left = this.#derive(regex, byte);
      this.#derived.add(key, spread, left);
    }
    return left;
  }

  #derive(regex: Regex, byte: number): Regex {
    this.work++;
    switch (regex.kind) {
      case 'concat': {
        const through = this.concat(this.derive(regex.first, byte), regex.rest);
        return regex.first.nullable ? this.or([through, this.derive(regex.rest, byte)]) : through;
      }
      case 'or':
        return this.or(regex.parts.map((part) => this.derive(part, byte)));
      case 'and':
        return this.and(regex.parts.map((part) => this.derive(part, byte)));
      case 'not':
        return this.not(this.derive(regex.inner, byte));
      case 'repeat': {
        const left = this.repeat(regex.inner, Math.max(0, regex.min - 1), regex.max - 1);
        return this.concat(this.derive(regex.inner, byte), left);
      }
      case 'multiple': {
        const next = deriveMultiple(regex.of, byte);
        return next === null ? this.never : this.multiple(next);
      }
      default:
        return this.never;
    }
  }

  #combine(kind: 'or' | 'and', chosen: readonly Regex[]): Regex {
    this.work += chosen.length;
    if (chosen.length === 0) return kind === 'or' ? this.never : this.anything;
    const sorted = chosen.length === 1 ? chosen : [...chosen].sort((a, b) => a.id - b.id);
    const parts = sorted.filter((part, i) => part !== sorted[i - 1]);
    if (parts.length === 1) return parts[0]!;
    if (parts.length > 2) {
      const ids = parts.map(({ id }) => id);
      return this.#intern(`${kind}${ids.join(',')}`, spreadOf(ids), (id) => combined(kind, parts, id));
    }
    const known = this.#pairs[kind];
    const key = pairKey(parts[0]!, parts[1]!);
    const spread = parts[0]!.id + parts[1]!.id;
    let pair = known.get(key, spread);
    if (pair === undefined) {
      pair = combined(kind, parts, this.#nextId++);
      known.add(key, spread, pair);
    }
    return pair;
  }

  #intern(key: string, spread: number, make: (id: number) => Regex): Regex {
    let regex = this.#interned.get(key, spread);
    if (regex === undefined) {
      regex = make(this.#nextId++);
      this.#interned.add(key, spread, regex);
    }
    return regex;
  }
}

/** Below 2^53 as long as a table makes less than 2^26 expressions, which its grammar's bounds see to. */
function pairKey(a: Regex, b: Regex): number {
  return a.id * 2 ** 26 + b.id;
}

function spreadOf(numbers: ArrayLike<number>): number {
  let spread = 0;
  for (let i = 0; i < numbers.length; i++) spread += numbers[i]!;
  return spread;
}

function combined(kind: 'or' | 'and', parts: readonly Regex[], id: number): Regex {
  return {
    kind,
    id,
    parts,
    nullable:
      kind === 'or' ? parts.some(({ nullable }) => nullable) : parts.every(({ nullable }) => nullable),
    plain: kind === 'or' && parts.every(({ plain }) => plain),
    count: parts.reduce((most, { count }) => Math.max(most, count), 0),
  };
}

function union(a: ByteSet, b: ByteSet): ByteSet {
  return a.map((word, i) => word | b[i]!);
}

function hasByte(set: ByteSet, byte: number): boolean {
  return ((set[byte >>> 5]! >>> (byte & 31)) & 1) === 1;
}

const zero = 0x30;
const point = 0x2e;

function isMultiple({ divisor, scale, remainder, fractionLeft }: Multiple): boolean {
  let padded = remainder;
  for (let i = fractionLeft ?? scale; i > 0; i--) padded = (padded * 10) % divisor;
  return padded === 0;
}

function deriveMultiple(of: Multiple, byte: number): Multiple | null {
  if (byte === point)
    return of.fractionLeft === null && of.scale > 0 ? { ...of, fractionLeft: of.scale } : null;
  if (byte < zero || byte > zero + 9 || of.fractionLeft === 0) return null;
  const remainder = (of.remainder * 10 + byte - zero) % of.divisor;
  return { ...of, remainder, fractionLeft: of.fractionLeft === null ? null : of.fractionLeft - 1 };
}
