// The tensors of a GGUF file under Hugging Face's names and in their order of rows. Owns the two ways in which the
// formats differ: names, and the rows of q and k where the rotary embedding turns neighbours instead of halves.
// Before it: gguf-file.ts and gguf-spec.ts; after it: checkpoint/checkpoint.ts.
import { CheckpointError } from '../files/model-file.ts';
import type { ModelSpec } from '../spec.ts';
import { hasShape, type StoredTensor, storedPart } from '../weights/stored-tensors.ts';
import type { Checkpoint } from '../weights/weights.ts';
import { architectureOf, type GgufArchitecture, layerParts } from './gguf-architectures.ts';
import { decodeBlocks, type GgufFile, readBlocks } from './gguf-file.ts';
import type { GgufTensor } from './gguf-header.ts';
import { rotaryTensors } from './gguf-rotary.ts';
import { kernelBlocks, kernelLayout } from './kernel-blocks.ts';

const outerNames: ReadonlyMap<string, string> = new Map([
  ['model.embed_tokens', 'token_embd'],
  ['model.norm', 'output_norm'],
  ['lm_head', 'output'],
]);

interface Place {
  readonly name: string; // in the file
  readonly rows: StoredTensor['rows'];
}

/** `model.layers.3.self_attn.q_proj.weight` → `blk.3.attn_q.weight`; null for a name that no decoder of ours has. */
function placeOf(spec: ModelSpec, { parts }: GgufArchitecture, name: string): Place | null {
  const sinks = /^model\.layers\.(\d+)\.self_attn\.sinks$/.exec(name);
  if (sinks !== null) return { name: `blk.${sinks[1]}.attn_sinks.weight`, rows: null };
  const [, stem, kind] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
  if (stem === undefined) return null;
  const outer = outerNames.get(stem);
  if (outer !== undefined) return { name: `${outer}.${kind}`, rows: null };
  const [, layer, part] = /^model\.layers\.(\d+)\.(.+)$/.exec(stem) ?? [];
  const stored = part === undefined ? null : storedPart(spec, { ...layerParts, ...parts }, part);
  return stored === null ? null : { name: `blk.${layer}.${stored.part}.${kind}`, rows: stored.rows };
}

/** `blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`; null for what is no whole tensor of a decoder of ours. */
export function decoderTensorName({ parts }: GgufArchitecture, ggufName: string): string | null {
  const [, stem, kind] = /^(.+)\.(weight|bias)$/.exec(ggufName) ?? [];
  const outer = [...outerNames].find(([, short]) => short === stem);
  if (outer) return `${outer[0]}.${kind}`;
  const [, layer, part] = /^blk\.(\d+)\.(.+)$/.exec(stem ?? '') ?? [];
  const inner = Object.entries({ ...layerParts, ...parts }).find(
    ([, stored]) => stored.part === part && stored.rows === undefined,
  );
  return inner ? `model.layers.${layer}.${inner[0]}.${kind}` : null;
}

/** Throws CheckpointError for a tensor that is missing, of another shape or type, or that no graph would use. */
export function ggufCheckpoint(
  gguf: GgufFile,
  spec: ModelSpec,
  required: ReadonlyMap<string, readonly number[]>,
): Checkpoint {
  const architecture = architectureOf(gguf);
  const place = (name: string) => placeOf(spec, architecture, name);
  const find = (name: string): GgufTensor => {
    const stored = place(name)?.name;
    const tensor = stored === undefined ? undefined : gguf.tensors.get(stored);
    if (tensor) return tensor;
    throw new CheckpointError('is missing from the weights', { file: gguf.path, field: stored ?? name });
  };
  for (const [name, shape] of required) {
    const { name: stored, rows } = place(name)!;
    checkTensor(stored, find(name), { needed: shape, rows });
  }
  refuseUnused(gguf, new Set([...required.keys()].map((name) => place(name)!.name)));
  const read = (name: string): Uint8Array => {
    const blocks = readBlocks(find(name), place(name)!.rows);
    const isTurned = architecture.interleavesHeads && /\.self_attn\.[qk]_proj\./.test(name);
    return isTurned ? halvesFirst(blocks, name) : blocks;
  };
  const halvesFirst = (blocks: Uint8Array, name: string): Uint8Array => {
    const { headCount, kvHeadCount, headSize } = spec;
    return separateHalves(blocks, {
      rowCount: (name.includes('q_proj') ? headCount : kvHeadCount) * headSize,
      headSize,
    });
  };
  return {
    spec,
    path: gguf.path,
    weightFiles: gguf.paths,
    has: (name) => gguf.tensors.has(place(name)?.name ?? ''),
    typeOf: (name) => find(name).type.name,
    shape(name) {
      const { shape } = find(name);
      const rows = place(name)!.rows;
      if (rows === null) return shape;
      return name.endsWith('.bias') ? [rows.count] : [rows.count, shape.at(-1)!];
    },
    read: (name) => decodeBlocks(place(name)!.name, find(name), read(name)),
    readRows: (name, rows) => decodeBlocks(place(name)!.name, find(name), readBlocks(find(name), rows)),
    storedLayout: (name) => kernelLayout(find(name).type.name),
    readBlocks(name) {
      const { type, shape } = find(name);
      return kernelBlocks(read(name), kernelLayout(type.name)!, shape.at(-1)!);
    },
  };
}

function checkTensor(
  name: string,
  tensor: GgufTensor,
  { needed, rows }: { readonly needed: readonly number[]; readonly rows: StoredTensor['rows'] },
): void {
  if (tensor.type.decode === null) decodeBlocks(name, tensor, new Uint8Array()); // says which types are read
  if (hasShape(tensor.shape, needed, rows)) return;
  const shape = rows === null ? needed : [rows.of, ...needed.slice(1)];
  throw new CheckpointError(
    `has shape [${tensor.shape.join(', ')}], the metadata asks for [${shape.join(', ')}]`,
    { file: tensor.path, field: name },
  );
}

/** What a file brings is part of its computation: a tensor that we would leave out makes another model of it. */
function refuseUnused(gguf: GgufFile, used: ReadonlySet<string>): void {
  for (const [name, { path }] of gguf.tensors) {
    if (used.has(name) || rotaryTensors.includes(name)) continue;
    const problem = 'is no part of this architecture as it is computed here';
    throw new CheckpointError(problem, { file: path, field: name });
  }
}

/**
 * Rows 2i and 2i + 1 of every head become rows i and i + headSize / 2. Rows are moved as bytes, so that it works for
 * every type: a row is whole blocks.
 */
export function separateHalves(
  blocks: Uint8Array,
  { rowCount, headSize }: { readonly rowCount: number; readonly headSize: number },
): Uint8Array {
  const rowSize = blocks.length / rowCount;
  const half = headSize / 2;
  const separated = new Uint8Array(blocks.length);
  for (let row = 0; row < rowCount; row++) {
    const within = row % headSize;
    const to = row - within + (within >> 1) + (within & 1) * half;
    separated.set(blocks.subarray(row * rowSize, (row + 1) * rowSize), to * rowSize);
  }
  return separated;
}
