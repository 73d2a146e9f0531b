// Ready ONNX exports of decoders: directories of onnx-community (config.json, onnx/model*.onnx with input_ids, attention_mask,
// position_ids, past_key_values.N.key) and of onnxruntime-genai (genai_config.json). Owns what they are called and which of
// them fit: keys and values in float32 that GroupQueryAttention keeps in place. Before it: a directory; after it:
// graph/adopted-graph.ts.
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { CheckpointError, readJson } from '../files/model-file.ts';
import { modelName } from '../files/model-name.ts';
import { type ModelSpec, plainDecoder } from '../spec.ts';
import { indexName, singleName } from '../weights/weight-files.ts';
import { type ExportValue, type OnnxFile, onnxTypeName, readOnnx } from './onnx-file.ts';

const genaiFile = 'genai_config.json';
const count = z.int().positive();
const ids = z.union([z.int().nonnegative(), z.array(z.int().nonnegative())]);
const genaiSchema = z.looseObject({
  model: z.looseObject({
    type: z.string(),
    vocab_size: count,
    context_length: count,
    bos_token_id: z.int().nonnegative().nullish(),
    eos_token_id: ids.nullish(),
    decoder: z.looseObject({
      filename: z.string().default('model.onnx'),
      head_size: count,
      hidden_size: count,
      num_attention_heads: count,
      num_key_value_heads: count,
      num_hidden_layers: count.max(1024),
      inputs: z.looseObject({}).default({}),
      outputs: z.looseObject({}).default({}),
    }),
  }),
});

const communitySchema = z.looseObject({
  model_type: z.string().default('unknown'),
  vocab_size: count,
  hidden_size: count,
  num_hidden_layers: count.max(1024),
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  max_position_embeddings: count,
  bos_token_id: z.int().nonnegative().nullish(),
  eos_token_id: ids.nullish(),
});

/** How an export calls what it reads and writes; `%d` is a layer. */
export interface ExportNames {
  readonly inputIds: string;
  readonly attentionMask: string;
  readonly positionIds: string;
  readonly pastKey: string;
  readonly pastValue: string;
  readonly logits: string;
  readonly presentKey: string;
  readonly presentValue: string;
}

const communityNames: ExportNames = {
  inputIds: 'input_ids',
  attentionMask: 'attention_mask',
  positionIds: 'position_ids',
  pastKey: 'past_key_values.%d.key',
  pastValue: 'past_key_values.%d.value',
  logits: 'logits',
  presentKey: 'present.%d.key',
  presentValue: 'present.%d.value',
};

/** The commonest first; those in half precision keep their keys and values in it. */
const communityFiles = [
  'model',
  'model_quantized',
  'model_int8',
  'model_uint8',
  'model_q4',
  'model_q4f16',
  'model_fp16',
];

/** Whether a directory is an export and nothing else. */
export function isExport(directory: string): boolean {
  if ([singleName, indexName].some((name) => existsSync(join(directory, name)))) return false;
  return existsSync(join(directory, genaiFile)) || filesIn(directory).length > 0;
}

function filesIn(directory: string): readonly string[] {
  return [join(directory, 'onnx'), directory].flatMap((folder) =>
    existsSync(folder) && existsSync(join(directory, 'config.json'))
      ? communityFiles.map((name) => join(folder, `${name}.onnx`)).filter((file) => existsSync(file))
      : [],
  );
}

/** What a config says of an export: its architecture is the graph's own affair. */
interface Dimensions
  extends Pick<
    ModelSpec,
    | 'architecture'
    | 'vocabSize'
    | 'contextLength'
    | 'headSize'
    | 'hiddenSize'
    | 'headCount'
    | 'kvHeadCount'
    | 'layerCount'
  > {
  readonly bosTokenId: number | null | undefined;
  readonly eosTokenIds: number | readonly number[] | null | undefined;
}

/** Of genai_config.json, else of config.json. Throws CheckpointError. */
export function exportSpec(directory: string): ModelSpec {
  const {
    bosTokenId = null,
    eosTokenIds,
    ...sizes
  } = existsSync(join(directory, genaiFile))
    ? genaiDimensions(join(directory, genaiFile))
    : communityDimensions(join(directory, 'config.json'));
  const { hiddenSize, headSize, layerCount } = sizes;
  return {
    ...plainDecoder,
    ...sizes,
    name: modelName(directory),
    bosTokenId,
    eosTokenIds: [eosTokenIds ?? []].flat(),
    // What only a graph of our own would compute with.
    ...{
      ffnSize: 4 * hiddenSize,
      experts: null,
      scoreGrowth: null,
      rmsNormEps: 1e-6,
      activation: 'silu',
      rotarySize: headSize,
    },
    ...{
      ropeTheta: 10_000,
      localRopeTheta: null,
      ropeScaling: null,
      embeddingMultiplier: 1,
      residualMultiplier: 1,
    },
    ...{ attentionMultiplier: 1 / Math.sqrt(headSize), logitMultiplier: 1, attentionSoftCap: null },
    ...{
      logitSoftCap: null,
      tiedEmbeddings: true,
      qkvBias: false,
      attentionOutputBias: false,
      mlpBias: false,
    },
    layers: Array.from({ length: layerCount }, () => ({ window: null, rotary: 'main' as const })),
  };
}

function genaiDimensions(file: string): Dimensions {
  const { model } = readJson(file, genaiSchema);
  const { decoder } = model;
  return {
    ...{ architecture: model.type, vocabSize: model.vocab_size, contextLength: model.context_length },
    ...{ bosTokenId: model.bos_token_id, eosTokenIds: model.eos_token_id },
    ...{
      headSize: decoder.head_size,
      hiddenSize: decoder.hidden_size,
      headCount: decoder.num_attention_heads,
    },
    ...{ kvHeadCount: decoder.num_key_value_heads, layerCount: decoder.num_hidden_layers },
  };
}

function communityDimensions(file: string): Dimensions {
  const config = readJson(file, communitySchema);
  const headCount = config.num_attention_heads;
  return {
    ...{
      architecture: config.model_type,
      vocabSize: config.vocab_size,
      contextLength: config.max_position_embeddings,
    },
    ...{ bosTokenId: config.bos_token_id, eosTokenIds: config.eos_token_id },
    ...{
      headSize: config.head_dim ?? Math.floor(config.hidden_size / headCount),
      hiddenSize: config.hidden_size,
    },
    ...{
      headCount,
      kvHeadCount: config.num_key_value_heads ?? headCount,
      layerCount: config.num_hidden_layers,
    },
  };
}

export interface OnnxExport {
  readonly file: OnnxFile;
  readonly names: ExportNames;
}

/** The first file that fits. Throws CheckpointError with why the first one does not. */
export function openExport(directory: string, spec: ModelSpec): OnnxExport {
  const candidates = exportsOf(directory);
  if (candidates.length === 0)
    throw new CheckpointError(`has no ONNX model of a known name (${communityFiles.join(', ')})`, {
      file: directory,
    });
  let first: CheckpointError | null = null;
  for (const { path, names } of candidates) {
    try {
      const file = readOnnx(path);
      checkFits(file, names, spec);
      return { file, names };
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      first ??= error;
    }
  }
  throw first!;
}

function exportsOf(directory: string): readonly { readonly path: string; readonly names: ExportNames }[] {
  const file = join(directory, genaiFile);
  if (!existsSync(file)) return filesIn(directory).map((path) => ({ path, names: communityNames }));
  const { filename, inputs, outputs } = readJson(file, genaiSchema).model.decoder;
  if (basename(filename) !== filename)
    throw new CheckpointError(`${JSON.stringify(filename)} is not beside it`, {
      file,
      field: 'model.decoder.filename',
    });
  const told = (from: Record<string, unknown>, key: string, standard: string) =>
    typeof from[key] === 'string' ? from[key] : standard;
  const names: ExportNames = {
    inputIds: told(inputs, 'input_ids', communityNames.inputIds),
    attentionMask: told(inputs, 'attention_mask', communityNames.attentionMask),
    positionIds: told(inputs, 'position_ids', communityNames.positionIds),
    pastKey: told(inputs, 'past_key_names', communityNames.pastKey),
    pastValue: told(inputs, 'past_value_names', communityNames.pastValue),
    logits: told(outputs, 'logits', communityNames.logits),
    presentKey: told(outputs, 'present_key_names', communityNames.presentKey),
    presentValue: told(outputs, 'present_value_names', communityNames.presentValue),
  };
  const path = join(directory, filename);
  if (!existsSync(path)) throw new CheckpointError('is missing', { file: path });
  return [{ path, names }];
}

export function layerName(pattern: string, layer: number): string {
  return pattern.replace('%d', String(layer));
}

const float = 1; // TensorProto.DataType
const half = 10;
const int32 = 6;
const int64 = 7;

function checkFits(
  { path, inputs, outputs, nodes, opset }: OnnxFile,
  names: ExportNames,
  spec: ModelSpec,
): void {
  const refuse = (field: string, problem: string) => new CheckpointError(problem, { file: path, field });
  if (opset < 13) throw refuse('opset_import', `${opset} is older than 13: export it anew`);
  const input = new Map(inputs.map((value) => [value.name, value]));
  const output = new Map(outputs.map((value) => [value.name, value]));
  const known = new Set([names.inputIds, names.attentionMask, names.positionIds, 'num_logits_to_keep']);
  const readers = new Map<string, string>();
  for (const node of nodes)
    for (const name of node.inputs) readers.set(name, readers.get(name) ?? node.operator);
  for (let layer = 0; layer < spec.layerCount; layer++) {
    const kinds = [
      [names.pastKey, names.presentKey],
      [names.pastValue, names.presentValue],
    ] as const;
    for (const [past, present] of kinds) {
      const name = layerName(past, layer);
      known.add(name);
      checkCache(input.get(name), name, { spec, refuse });
      const reader = readers.get(name);
      if (reader !== 'GroupQueryAttention') {
        const problem = `is read by ${reader ?? 'nothing'}, not by GroupQueryAttention: every step would copy all keys and values. Take an export with it (of onnxruntime-genai, or a newer one), or the model's safetensors`;
        throw refuse(name, problem);
      }
      if (!output.has(layerName(present, layer))) throw refuse(layerName(present, layer), 'is no output');
    }
  }
  for (const { name, type } of inputs) {
    if (!known.has(name)) throw refuse(name, 'is an input that is not known here');
    if (
      [names.inputIds, names.attentionMask, names.positionIds].includes(name) &&
      type !== int64 &&
      type !== int32
    )
      throw refuse(name, `${onnxTypeName(type)} is not supported (only int64, int32)`);
  }
  for (const name of [names.inputIds, names.attentionMask])
    if (!input.has(name))
      throw refuse(name, 'is no input: it is no decoder as onnx-community or onnxruntime-genai export one');
  const logits = output.get(names.logits);
  if (logits === undefined) throw refuse(names.logits, 'is no output');
  if (logits.type !== float && logits.type !== half)
    throw refuse(names.logits, `${onnxTypeName(logits.type)} is not supported (only float, float16)`);
}

function checkCache(
  value: ExportValue | undefined,
  name: string,
  { spec, refuse }: { spec: ModelSpec; refuse: (field: string, problem: string) => CheckpointError },
): void {
  if (value === undefined) throw refuse(name, 'is no input');
  if (value.type !== float)
    throw refuse(
      name,
      `keys and values in ${onnxTypeName(value.type)} are not supported (only float): take the fp32, int8 or q4 export`,
    );
  const { kvHeadCount, headSize } = spec;
  const [, heads, , size] = value.shape;
  const fits = (found: number | string | undefined, wanted: number) =>
    typeof found !== 'number' || found === wanted;
  if (value.shape.length === 4 && fits(heads, kvHeadCount) && fits(size, headSize)) return;
  throw refuse(
    name,
    `has shape [${value.shape.join(', ')}], its config asks for [_, ${kvHeadCount}, _, ${headSize}]`,
  );
}

/** Bytes of an export that fits: its graph and its weights. Throws CheckpointError. */
export function exportSize(directory: string, spec: ModelSpec): number {
  return exportFiles(openExport(directory, spec)).reduce((size, path) => size + statSync(path).size, 0);
}

/** Its graph, and its weights. */
export function exportFiles({ file }: OnnxExport): readonly string[] {
  return [file.path, ...file.dataFiles.map((name) => dataPath(file.path, name))];
}

/** Where external weights are: beside their graph, never elsewhere. */
export function dataPath(modelPath: string, name: string): string {
  const path = join(dirname(modelPath), name);
  if (basename(name) === name && existsSync(path)) return path;
  throw new CheckpointError(`${JSON.stringify(name)} is not beside it`, {
    file: modelPath,
    field: 'external_data',
  });
}

/** `onnx/model_q4.onnx`, for people. */
export function exportLabel(directory: string, { file }: OnnxExport): string {
  return relative(directory, file.path);
}
