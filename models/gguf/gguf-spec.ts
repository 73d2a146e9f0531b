// GGUF metadata → ModelSpec, by the table of the architectures that our graphs compute. Whatever a file asks for beyond
// that is refused with its key. Before it: gguf-architectures.ts; after it: checkpoint/checkpoint.ts.
// Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
import { familyNamed } from '../config/families.ts';
import { CheckpointError } from '../files/model-file.ts';
import { type LayerAttention, layerCountMax, type ModelSpec } from '../spec.ts';
import { architectureOf, type GgufArchitecture } from './gguf-architectures.ts';
import type { GgufFile } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';
import { ggufRotary } from './gguf-rotary.ts';

/** Throws CheckpointError with the key. */
export function ggufSpec(gguf: GgufFile, name: string): ModelSpec {
  const metadata = new GgufMetadata(gguf);
  const architecture = architectureOf(gguf);
  const prefix = architecture.name;
  const family = familyNamed(prefix);
  const need = (key: string): number => {
    const value = metadata.need(`${prefix}.${key}`, metadata.count(`${prefix}.${key}`));
    if (value > 0) return value;
    throw metadata.refuse(`${prefix}.${key}`, 'is 0');
  };
  refuseUnsupported(gguf, metadata, prefix);
  const layerCount = need('block_count');
  if (layerCount > layerCountMax) {
    throw metadata.refuse(`${prefix}.block_count`, `${layerCount} layers are more than ${layerCountMax}`);
  }
  const hiddenSize = need('embedding_length');
  const epsilonKey = `${prefix}.attention.${family.decoder.norm === 'rms' ? 'layer_norm_rms' : 'layer_norm'}_epsilon`;
  const heads = attentionShape(metadata, { prefix, hiddenSize, headCount: need('attention.head_count') });
  const vocabSize = vocabularySize(gguf);
  const { localRopeTheta, isYarnTruncated } = architecture;
  const context = {
    ...{ prefix, headSize: heads.headSize, contextLength: need('context_length') },
    ...{ localRopeTheta, isYarnTruncated },
  };
  const rotary = ggufRotary(gguf, metadata, context);
  const has = (name: string) => gguf.tensors.has(name);
  return {
    ...family.decoder,
    name,
    architecture: prefix,
    vocabSize,
    hiddenSize,
    layerCount,
    ...heads,
    ...feedForwardOf(gguf, metadata, architecture),
    rmsNormEps: metadata.need(epsilonKey, metadata.number(epsilonKey)),
    activation: architecture.activation,
    ...rotary,
    layers: layersOf(metadata, architecture, { layerCount, ...rotary }),
    ...multipliersOf(metadata, architecture, { ...heads, hiddenSize, layerCount }),
    tiedEmbeddings: !has('output.weight'),
    qkvBias: has('blk.0.attn_q.bias') || has('blk.0.attn_qkv.bias'),
    attentionOutputBias: has('blk.0.attn_output.bias'),
    mlpBias: has('blk.0.ffn_up.bias') || has('blk.0.ffn_up_exps.bias'),
    bosTokenId: metadata.count('tokenizer.ggml.bos_token_id'),
    eosTokenIds: endTokenIds(metadata, vocabSize),
  };
}

function feedForwardOf(
  { tensors }: GgufFile,
  metadata: GgufMetadata,
  { name, clamp, isNormalised }: GgufArchitecture,
): Pick<ModelSpec, 'ffnSize' | 'experts'> {
  const sizeKey = `${name}.feed_forward_length`;
  const count = metadata.count(`${name}.expert_count`) ?? 0;
  const own = count === 0 ? null : metadata.count(`${name}.expert_feed_forward_length`);
  const ffnSize = own ?? metadata.need(sizeKey, metadata.count(sizeKey));
  if (ffnSize === 0) throw metadata.refuse(sizeKey, 'is 0');
  if (count === 0) return { ffnSize, experts: null };
  const usedKey = `${name}.expert_used_count`;
  const activeCount = metadata.need(usedKey, metadata.count(usedKey));
  if (activeCount === 0 || activeCount > count) {
    throw metadata.refuse(usedKey, `${activeCount} of ${count} experts are not supported`);
  }
  const hasRouterBias = tensors.has('blk.0.ffn_gate_inp.bias');
  const shared = tensors.get('blk.0.ffn_up_shexp.weight')?.shape[0]; // a key says it too, or that it is ffnSize
  const isGated = tensors.has('blk.0.ffn_gate_inp_shexp.weight');
  return {
    ffnSize,
    experts: {
      ...{ count, activeCount, isNormalised, hasRouterBias, clamp, dense: null },
      shared: shared === undefined ? null : { size: shared, isGated },
    },
  };
}

function layersOf(
  metadata: GgufMetadata,
  { name, slides, turns }: GgufArchitecture,
  {
    layerCount,
    contextLength,
    localRopeTheta,
  }: Pick<ModelSpec, 'layerCount' | 'contextLength' | 'localRopeTheta'>,
): readonly LayerAttention[] {
  const key = `${name}.attention.sliding_window`;
  const stored = metadata.count(key) ?? 0;
  const window = stored > 0 && stored < contextLength ? stored : null;
  if (window !== null && slides === null) {
    throw metadata.refuse(key, `${window} is not supported for this architecture`);
  }
  const pattern = slides === null ? null : metadata.pattern(`${key}_pattern`);
  return Array.from({ length: layerCount }, (_, layer) => {
    const listed = Array.isArray(pattern) ? pattern[layer] === true : null;
    const isWindowed = listed ?? slides?.(layer, typeof pattern === 'number' ? pattern : null) ?? false;
    const turned = isWindowed && localRopeTheta !== null ? 'local' : 'main';
    return { window: isWindowed ? window : null, rotary: turns(layer) ? turned : 'none' };
  });
}

function multipliersOf(
  metadata: GgufMetadata,
  { name, wideScoreLayers }: GgufArchitecture,
  {
    hiddenSize,
    headSize,
    headCount,
    layerCount,
  }: Pick<ModelSpec, 'hiddenSize' | 'headSize' | 'headCount' | 'layerCount'>,
) {
  const scale = (key: string) => {
    const value = metadata.number(`${name}.${key}`) ?? 0; // 0: none, source: llama.cpp
    if (value >= 0) return value;
    throw metadata.refuse(`${name}.${key}`, `${value} is negative`);
  };
  const scoreSize = layerCount === wideScoreLayers ? hiddenSize / headCount : headSize;
  const embeddingScale = familyNamed(name).scalesEmbeddings
    ? Math.sqrt(hiddenSize)
    : scale('embedding_scale');
  return {
    embeddingMultiplier: embeddingScale || 1,
    residualMultiplier: scale('residual_scale') || 1,
    attentionMultiplier: scale('attention.scale') || 1 / Math.sqrt(scoreSize),
    logitMultiplier: 1 / (scale('logit_scale') || 1),
    attentionSoftCap: scale('attn_logit_softcapping') || null,
    logitSoftCap: scale('final_logit_softcapping') || null,
  };
}

/** The rows of the embedding table: metadata need not say it. */
function vocabularySize({ tensors, path }: GgufFile): number {
  const size = tensors.get('token_embd.weight')?.shape[0];
  if (size !== undefined) return size;
  throw new CheckpointError('is missing', { file: path, field: 'token_embd.weight' });
}

function refuseUnsupported({ tensors }: GgufFile, metadata: GgufMetadata, prefix: string): void {
  const sharedKey = `${prefix}.expert_shared_count`;
  const shared = metadata.count(sharedKey) ?? 0;
  if (shared > 0 && !tensors.has('blk.0.ffn_up_shexp.weight'))
    throw metadata.refuse(sharedKey, `${shared}: the file has no experts that all tokens share`);
  const clampKey = `${prefix}.attention.clamp_kqv`;
  const clamp = metadata.number(clampKey) ?? 0;
  if (clamp !== 0) throw metadata.refuse(clampKey, `${clamp} is not supported`);
}

function attentionShape(
  metadata: GgufMetadata,
  { prefix, hiddenSize, headCount }: { prefix: string; hiddenSize: number; headCount: number },
) {
  const kvKey = `${prefix}.attention.head_count_kv`;
  const kvHeadCount = metadata.count(kvKey) ?? headCount;
  if (kvHeadCount === 0 || headCount % kvHeadCount !== 0) {
    throw metadata.refuse(kvKey, `${kvHeadCount} does not divide the ${headCount} heads`);
  }
  const sizeKey = `${prefix}.attention.key_length`;
  const headSize = metadata.count(sizeKey) ?? hiddenSize / headCount;
  if (!Number.isInteger(headSize) || headSize === 0 || headSize % 2 !== 0) {
    throw metadata.refuse(sizeKey, `${headSize} is no even size of a head`);
  }
  const valueKey = `${prefix}.attention.value_length`;
  const valueSize = metadata.count(valueKey) ?? headSize;
  if (valueSize !== headSize) {
    throw metadata.refuse(valueKey, `${valueSize} is not supported (only the key's size, ${headSize})`);
  }
  return { headCount, kvHeadCount, headSize };
}

/** End of text, of a turn, of a message that waits for a tool: after each of them it is somebody else's turn. */
function endTokenIds(metadata: GgufMetadata, vocabSize: number): readonly number[] {
  const ids = new Set<number>();
  for (const kind of ['eos', 'eot', 'eom']) {
    const key = `tokenizer.ggml.${kind}_token_id`;
    const id = metadata.count(key);
    if (id === null) continue;
    if (id >= vocabSize) throw metadata.refuse(key, `${id} is outside the vocabulary of ${vocabSize}`);
    ids.add(id);
  }
  return [...ids];
}
