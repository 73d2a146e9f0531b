// Our names of tensors → where a Hugging Face checkpoint keeps them: other names, rows of fused matrices, gains less 1.
// Owns the difference, which the families describe. Before it: families.ts; after it: checkpoint.ts.
import { familyNamed, type StoredPart } from './families.ts';
import type { ModelSpec } from './spec.ts';

export interface StoredTensor {
  readonly name: string; // in the checkpoint
  readonly rows: { readonly start: number; readonly count: number; readonly of: number } | null; // null: all
  readonly offset: number; // added to every value
}

/** Where `name` is. Names that no family of ours has are looked for as they are. */
export function storedTensor(spec: ModelSpec, name: string): StoredTensor {
  const family = familyNamed(spec.architecture);
  const offset = family.normsFromZero && name.endsWith('norm.weight') ? 1 : 0;
  const [, prefix, part, kind] = /^(model\.layers\.\d+\.)(.+)(\.(?:weight|bias))$/.exec(name) ?? [];
  const stored = part === undefined ? undefined : family.parts[part];
  if (stored === undefined) return { name, rows: null, offset };
  return { name: `${prefix}${stored.part}${kind}`, rows: rowsOf(spec, stored.rows), offset };
}

/** The rows of a fused matrix that are one of its parts; null: it is not fused. */
export function rowsOf(spec: ModelSpec, rows: StoredPart['rows']): StoredTensor['rows'] {
  const { headCount, kvHeadCount, headSize, ffnSize } = spec;
  const [query, kv] = [headCount * headSize, kvHeadCount * headSize];
  const of = query + 2 * kv;
  switch (rows) {
    case undefined:
      return null;
    case 'query':
      return { start: 0, count: query, of };
    case 'key':
      return { start: query, count: kv, of };
    case 'value':
      return { start: query + kv, count: kv, of };
    case 'first-half':
      return { start: 0, count: ffnSize, of: 2 * ffnSize };
    case 'second-half':
      return { start: ffnSize, count: ffnSize, of: 2 * ffnSize };
  }
}

/** The wanted rows of what was read, with the offset; changes `values` in place. */
export function fromStored(values: Float32Array, { rows, offset }: StoredTensor): Float32Array {
  let own = values;
  if (rows !== null) {
    const width = values.length / rows.of;
    own = values.slice(rows.start * width, (rows.start + rows.count) * width);
  }
  if (offset !== 0) for (let index = 0; index < own.length; index++) own[index]! += offset;
  return own;
}
