// A LoRA adapter as GGUF: `general.type` adapter, tensors `….lora_a` [r, in] and `….lora_b` [out, r] under the names of
// the weights that they change. Before it: gguf-file.ts; after it: checkpoint/lora.ts.

import { CheckpointError } from '../files/model-file.ts';
import type { ModelSpec } from '../spec.ts';
import type { Adapter, LowRank } from '../weights/adapter.ts';
import { architectureOf } from './gguf-architectures.ts';
import { decoderTensorName, separateHalves } from './gguf-checkpoint.ts';
import { decodeBlocks, openGguf, readBlocks } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';

/** `spec`: of the base model, which knows the heads whose rows the format reorders. Throws CheckpointError. */
export function openGgufAdapter(path: string, spec: ModelSpec): Adapter {
  const gguf = openGguf(path);
  const metadata = new GgufMetadata(gguf);
  if (metadata.text('general.type') !== 'adapter' || metadata.text('adapter.type') !== 'lora') {
    throw metadata.refuse('adapter.type', 'is not lora: the file is no LoRA adapter');
  }
  const architecture = architectureOf(gguf);
  const alpha = metadata.number('adapter.lora.alpha') ?? 0;
  const targets = new Map<string, LowRank>();
  for (const [aName, a] of gguf.tensors) {
    const [, weight, half] = /^(.+)\.lora_([ab])$/.exec(aName) ?? [];
    const refuse = (problem: string) => new CheckpointError(problem, { file: path, field: aName });
    const target = weight === undefined ? null : decoderTensorName(architecture, weight);
    if (target === null) throw refuse("is no lora_a or lora_b of a decoder's matrix");
    const bName = `${weight}.lora_b`;
    const b = gguf.tensors.get(bName);
    if (b === undefined) throw refuse('has no lora_b');
    if (half === 'b') {
      if (!gguf.tensors.has(`${weight}.lora_a`)) throw refuse('has no lora_a');
      continue;
    }
    const rank = a.shape[0]!;
    const isTurned = architecture.interleavesHeads && /\.self_attn\.[qk]_proj\./.test(target);
    const { headSize } = spec;
    targets.set(target, {
      rank,
      scale: alpha === 0 ? 1 : alpha / rank, // source: llama.cpp, which takes no alpha for the rank
      aShape: a.shape,
      bShape: b.shape,
      a: () => decodeBlocks(aName, a, readBlocks(a)),
      b: () => {
        const blocks = readBlocks(b);
        const rows = isTurned ? separateHalves(blocks, { rowCount: b.shape[0]!, headSize }) : blocks;
        return decodeBlocks(bName, b, rows);
      },
    });
  }
  return { path, files: gguf.paths, targets, copies: new Map() };
}
