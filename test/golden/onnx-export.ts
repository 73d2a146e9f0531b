// Makes exports out of checkpoints, in the two layouts that are published: onnx-community's (config.json, onnx/model.onnx) and
// onnxruntime-genai's (genai_config.json). Their graphs have GroupQueryAttention inside, take ids, a mask and positions, and
// answer the logits of every token. For tests of models/export.
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import { GraphWriter } from '../../models/graph/graph-writer.ts';
import { joinOnnx, readOnnx, renamedNode } from '../../models/onnx/onnx-file.ts';
import { encodeNode, encodeTensor, encodeValueInfo, type ValueInfo } from '../../models/onnx/onnx-proto.ts';

export type ExportLayout = 'community' | 'genai';

/** What is wrong with it, where a test wants that. */
export interface ExportFlaws {
  readonly extraInput?: ValueInfo;
  readonly cacheType?: 'int8';
  readonly attention?: string; // the operator's name instead
}

/** Into `directory`, which is made; the tokenizer comes along where the checkpoint has one. */
export async function writeExport(
  from: string,
  { directory, layout, flaws = {} }: { directory: string; layout: ExportLayout; flaws?: ExportFlaws },
): Promise<void> {
  const { spec } = loadCheckpoint(from);
  const built = await buildGraph(loadCheckpoint(from), {
    precision: 'fp32',
    cacheDirectory: join(directory, '..', 'built'),
  });
  const folder = layout === 'community' ? join(directory, 'onnx') : directory;
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(built.directory, 'weights.bin'), join(folder, 'weights.bin'));
  writeFileSync(join(folder, 'model.onnx'), exported(built.modelPath, spec, flaws));
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(directory, name));
  }
  if (layout === 'community') copyFileSync(join(from, 'config.json'), join(directory, 'config.json'));
  else writeFileSync(join(directory, 'genai_config.json'), JSON.stringify(genaiConfig(spec)));
}

type Spec = ReturnType<typeof loadCheckpoint>['spec'];

function genaiConfig(spec: Spec): object {
  return {
    model: {
      ...{ type: spec.architecture, vocab_size: spec.vocabSize, context_length: spec.contextLength },
      ...{ bos_token_id: spec.bosTokenId, eos_token_id: spec.eosTokenIds },
      decoder: {
        ...{ filename: 'model.onnx', head_size: spec.headSize, hidden_size: spec.hiddenSize },
        ...{ num_attention_heads: spec.headCount, num_key_value_heads: spec.kvHeadCount },
        num_hidden_layers: spec.layerCount,
        inputs: {
          input_ids: 'input_ids',
          attention_mask: 'attention_mask',
          past_key_names: 'past_key_values.%d.key',
        },
        outputs: { logits: 'logits', present_key_names: 'present.%d.key' },
      },
    },
  };
}

function exported(
  modelPath: string,
  spec: Spec,
  { extraInput, cacheType, attention }: ExportFlaws,
): Uint8Array {
  const file = readOnnx(modelPath);
  const before = new GraphWriter();
  const axis = (name: string, value: bigint) => before.constant(name, 'int64', [1], BigInt64Array.of(value));
  const scalar = (name: string, value: bigint) => before.constant(name, 'int64', [], BigInt64Array.of(value));
  const to32 = (output: string, input: string) => before.node('Cast', output, [input], { to: { int: 6 } });
  to32('ids32', 'input_ids');
  const sum = before.node('ReduceSum', 'mask_sum', ['attention_mask', axis('one_axis', 1n)], {
    keepdims: { int: 0 },
  });
  to32('seqlens_k', before.node('Sub', 'mask_last', [sum, scalar('one', 1n)]));
  const maskShape = before.node('Shape', 'mask_shape', ['attention_mask']);
  to32('total_sequence_length', before.node('Gather', 'mask_total', [maskShape, scalar('one', 1n)]));
  const count = before.node('Size', 'id_count', ['input_ids']);
  to32('logit_rows', before.node('Range', 'all_rows', [scalar('zero', 0n), count, scalar('one', 1n)]));
  const after = new GraphWriter();
  const shape = after.node('Shape', 'id_shape', ['input_ids']);
  const vocab = after.constant('vocab', 'int64', [1], BigInt64Array.of(BigInt(spec.vocabSize)));
  const whole = after.node('Concat', 'logit_shape', [shape, vocab], { axis: { int: 0 } });
  after.node('Reshape', 'logits', ['flat_logits', whole]);
  const names = (name: string) =>
    name
      .replace(/^input_ids$/, 'ids32')
      .replace(/^logits$/, 'flat_logits')
      .replace(/\.chosen$/, '.attended')
      .replace(/^past_(key|value)\.(\d+)$/, 'past_key_values.$2.$1')
      .replace(/^present_(key|value)\.(\d+)$/, 'present.$2.$1');
  const cache = (prefix: string): ValueInfo[] =>
    Array.from({ length: spec.layerCount }, (_, layer) =>
      ['key', 'value'].map((kind) => ({
        name: `${prefix}.${layer}.${kind}`,
        type: cacheType ?? ('float' as const),
        shape: ['batch_size', spec.kvHeadCount, 'length', spec.headSize],
      })),
    ).flat();
  const inputs: ValueInfo[] = [
    { name: 'input_ids', type: 'int64', shape: ['batch_size', 'sequence_length'] },
    { name: 'attention_mask', type: 'int64', shape: ['batch_size', 'total_sequence_length'] },
    { name: 'position_ids', type: 'int64', shape: ['batch_size', 'sequence_length'] },
    ...cache('past_key_values'),
    ...(extraInput === undefined ? [] : [extraInput]),
  ];
  const logits: ValueInfo = {
    name: 'logits',
    type: 'float',
    shape: ['batch_size', 'sequence_length', spec.vocabSize],
  };
  // Others know of no guesses.
  const plain = file.nodes.filter(({ operator, outputs }) => operator !== 'If' && outputs[0] !== 'is_alone');
  const nodes = plain.map((node) => ({
    ...node,
    ...(attention !== undefined &&
      node.operator === 'GroupQueryAttention' && { rest: renamedOperator(attention) }),
  }));
  return joinOnnx(file, [
    ...before.nodes.map((node) => [1, encodeNode(node)] as const),
    ...nodes.map((node) => [1, renamedNode(node, names)] as const),
    ...after.nodes.map((node) => [1, encodeNode(node)] as const),
    ...file.rest,
    ...[...before.constants, ...after.constants].map((tensor) => [5, encodeTensor(tensor)] as const),
    ...inputs.map((value) => [11, encodeValueInfo(value)] as const),
    ...[logits, ...cache('present')].map((value) => [12, encodeValueInfo(value)] as const),
  ]);
}

function renamedOperator(operator: string): readonly Uint8Array[] {
  const node = { operator, domain: '', name: 'renamed', inputs: [], outputs: [], attributes: {} };
  return [encodeNode(node)];
}
