// Attention by our own operator (kernels/native/attention-op.c): whoever comes with a token, it gets the same bits, so that a graph
// needs no branches for guesses or for chunks of prompts. Before it: attention-nodes.ts; after it: graph-writer.ts.
import { ownDomain } from '../onnx/onnx-proto.ts';
import type { ModelSpec } from '../spec.ts';
import type { DecoderContext } from './decoder-context.ts';

export interface OwnAttentionParts {
  readonly layer: number;
  readonly prefix: string;
  readonly projected: readonly string[]; // [packed, '', ''] or [queries, keys, values]
  readonly tables: readonly string[]; // cos and sin, or none
  readonly sinks: string; // or ''
}

/** Whether the operator computes heads of this form: attentionFits() of kernels/native/attention.c. */
export function hasOwnAttention({ headSize, headCount, kvHeadCount }: ModelSpec): boolean {
  const rowsMax = Math.min(96, Math.floor((96 * 64) / headSize));
  return headSize % 8 === 0 && headSize <= 256 && headCount / kvHeadCount <= rowsMax;
}

/** [B, n, headCount · headSize]; updates keys and values in place. */
export function writeOwnAttention(context: DecoderContext, parts: OwnAttentionParts): string {
  const { spec, kv, writer } = context;
  const { layer, prefix, projected, tables, sinks } = parts;
  const [query, key, value] = projected as readonly [string, string, string];
  const outputs = [`${prefix}.attended`, `present_key.${layer}`, `present_value.${layer}`];
  const scales = ['key_scale', 'value_scale', 'value_shift', 'answer_shift'].map(
    (name) => `${name}.${layer}`,
  );
  const inputs = [query, `past_key.${layer}`, `past_value.${layer}`, 'seqlens_k'];
  inputs.push(...(kv === 'int8' ? scales : []), key, value, tables[0] ?? '', tables[1] ?? '', sinks);
  while (inputs.at(-1) === '') inputs.pop();
  writer.append({
    ...{ operator: kv === 'int8' ? 'Int8Attention' : 'Attention', domain: ownDomain, outputs, inputs },
    attributes: {
      heads: { int: spec.headCount },
      kvHeads: { int: spec.kvHeadCount },
      window: { int: spec.layers[layer]!.window ?? 0 },
      softcap: { float: spec.attentionSoftCap ?? 0 },
    },
  });
  return outputs[0]!;
}
