// Our names of tensors → where a Hugging Face checkpoint keeps them: other names, rows of fused matrices, gains less 1.
// Owns the difference, which the families describe. Before it: config/families.ts; after it: checkpoint/checkpoint.ts.
import { type FusedRows, familyNamed, type StoredPart } from '../config/families.ts';
import type { ModelSpec } from '../spec.ts';

/** Of the `of` rows of a matrix, `count` from `start` on, every `step`-th. */
export interface TensorRows {
  readonly start: number;
  readonly count: number;
  readonly of: number;
  readonly step?: number; // 1 if absent
}

export interface StoredTensor {
  readonly name: string; // in the checkpoint
  readonly rows: TensorRows | null; // null: all
  readonly scales: string | null; // of the levels in `name`, where they are microscaled
  readonly offset: number; // added to every value
}

/** Where `name` is. Names that no family of ours has are looked for as they are. */
export function storedTensor(spec: ModelSpec, name: string): StoredTensor {
  const family = familyNamed(spec.architecture);
  const offset = family.normsFromZero && name.endsWith('norm.weight') ? 1 : 0;
  const [, prefix, part, kind] = /^(model\.layers\.\d+\.)(.+)(\.(?:weight|bias))$/.exec(name) ?? [];
  const stored = part === undefined ? null : storedPart(spec, family.parts, part);
  if (stored === null) return { name, rows: null, scales: null, offset };
  const { rows } = stored;
  const base = `${prefix}${stored.part}`;
  if (!stored.isMicroscaled) return { name: `${base}${kind}`, rows, scales: null, offset };
  if (kind === '.bias') return { name: `${base}_bias`, rows, scales: null, offset };
  return { name: `${base}_blocks`, rows, scales: `${base}_scales`, offset };
}

/** Which part of a layer, and of it which rows, is `part` of ours; null where the table does not say. */
export function storedPart(
  spec: ModelSpec,
  parts: Readonly<Record<string, StoredPart>>,
  part: string,
): { readonly part: string; readonly rows: TensorRows | null; readonly isMicroscaled: boolean } | null {
  const expert = /^mlp\.experts\.(\d+)\./.exec(part)?.[1];
  const stored = parts[expert === undefined ? part : part.replace(expert, '*')];
  if (stored === undefined) return null;
  const isOut = part.endsWith('down_proj');
  const rows =
    stored.rows === undefined
      ? null
      : rowsOf(spec, stored.rows, {
          expert: Number(expert),
          isOut,
          isShared: part.startsWith('mlp.shared.'),
        });
  const { isMicroscaled = false } = stored;
  return { part: stored.part.replace('*', expert ?? ''), rows, isMicroscaled };
}

function rowsOf(
  spec: ModelSpec,
  rows: FusedRows,
  { expert, isOut, isShared }: { expert: number; isOut: boolean; isShared: boolean },
): TensorRows {
  const { headCount, kvHeadCount, headSize, experts } = spec;
  const ffnSize = isShared ? experts!.shared!.size : spec.ffnSize;
  const [query, kv] = [headCount * headSize, kvHeadCount * headSize];
  const own = isOut ? spec.hiddenSize : ffnSize; // rows of one expert
  const expertCount = experts?.count ?? 1;
  switch (rows) {
    case 'query':
      return { start: 0, count: query, of: query + 2 * kv };
    case 'key':
      return { start: query, count: kv, of: query + 2 * kv };
    case 'value':
      return { start: query + kv, count: kv, of: query + 2 * kv };
    case 'first-half':
      return { start: 0, count: ffnSize, of: 2 * ffnSize };
    case 'second-half':
      return { start: ffnSize, count: ffnSize, of: 2 * ffnSize };
    case 'expert':
      return { start: expert * own, count: own, of: expertCount * own };
    case 'expert-first-half':
      return { start: 2 * expert * ffnSize, count: ffnSize, of: 2 * expertCount * ffnSize };
    case 'expert-even':
      return { start: 2 * expert * ffnSize, count: ffnSize, of: 2 * expertCount * ffnSize, step: 2 };
    case 'expert-odd':
      return { start: 2 * expert * ffnSize + 1, count: ffnSize, of: 2 * expertCount * ffnSize, step: 2 };
    case 'expert-second-half':
      return { start: (2 * expert + 1) * ffnSize, count: ffnSize, of: 2 * expertCount * ffnSize };
  }
}

/** Whether a tensor of shape `found` has the rows of which `rows` are some, each as long as those of `needed`. */
export function hasShape(
  found: readonly number[],
  needed: readonly number[],
  rows: TensorRows | null,
): boolean {
  if (rows === null) return isSame(withoutOnes(found), withoutOnes(needed));
  const length = needed.length === 1 ? 1 : needed.at(-1)!;
  const isLong = needed.length === 1 || found.at(-1) === length;
  return isLong && found.reduce((product, size) => product * size, 1) === rows.of * length;
}

/** GGUF files may leave out that there is one row. */
function withoutOnes(shape: readonly number[]): readonly number[] {
  return shape.slice(shape.findIndex((size) => size !== 1));
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((size, axis) => size === other[axis]);
}
