// Writes a complete, seeded, random model directory in the Hugging Face layout, small enough for the reference
// decoder to check every token of a test. What it says is noise; same options, same bytes.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../kernels/random.ts';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import type { ModelSpec, RopeScaling } from '../../models/spec.ts';
import { byteCharacters } from '../../models/tokenizer/byte-level.ts';
import { requiredTensors } from '../../models/weights/required-tensors.ts';
import { floatTensor, writeSafetensors } from './safetensors-writer.ts';

export interface TinyModelOptions {
  readonly seed: number;
  readonly architecture: ModelSpec['architecture'];
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number;
  readonly ffnSize: number;
  readonly contextLength: number; // tokens
  readonly ropeTheta: number;
  readonly ropeScaling: Extract<RopeScaling, { kind: 'llama3' | 'linear' }> | null;
  readonly tiedEmbeddings: boolean;
  readonly attentionBias: boolean; // llama only; qwen2 always has it on q, k, v
  readonly mlpBias: boolean; // llama only
  readonly dtype: 'F32' | 'BF16';
  readonly configDialect: 'rope_parameters' | 'rope_theta'; // transformers ≥ 5, and before
  readonly shardCount: number; // 1 = model.safetensors, more = shards with an index
  readonly chatTemplate: string | null;
  readonly stops: boolean; // false: no token ends a generation
}

const defaults: TinyModelOptions = {
  seed: 1,
  architecture: 'qwen2',
  layerCount: 3,
  hiddenSize: 64,
  headCount: 4,
  kvHeadCount: 2,
  headSize: 16,
  ffnSize: 96,
  contextLength: 1024,
  ropeTheta: 10_000,
  ropeScaling: null,
  tiedEmbeddings: true,
  attentionBias: false,
  mlpBias: false,
  dtype: 'F32',
  configDialect: 'rope_parameters',
  shardCount: 1,
  chatTemplate:
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}" +
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  stops: true,
};

// What the byte-level BPE joins beyond single bytes, in order of priority. Ġ stands for a space, Ċ for a newline.
const merges = (
  'Ġ Ġ|ĠĠ ĠĠ|Ċ Ċ|i n|e r|r e|o n|s t|t h|th e|Ġ t|Ġ =|Ġ {|) ;|( )|in g|t i|ti on|c on|con st|Ġ const|re t|u r|' +
  'ret ur|retur n|u n|f un|c tion|fun ction|e n|e x|p o|r t|ex po|expo rt|l e|le t|n u|m b|nu mb|numb er|st r|str ing|' +
  'a l|a n|o r|f or|i f|: Ġ|= >|Ġ a|Ġ the|Ã ©|ð Ł'
).split('|');

const specialTokens = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<|fim_prefix|>',
  '<|fim_middle|>',
  '<|fim_suffix|>',
] as const;

/** First special token; those of `specialTokens` follow in order, then ids that mean nothing up to the vocabulary. */
const specialStart = 256 + merges.length;
export const tinyVocabSize = 320;
export const tinyTokenIds = {
  endOfText: specialStart,
  imStart: specialStart + 1,
  imEnd: specialStart + 2,
  fimPrefix: specialStart + 3,
  fimMiddle: specialStart + 4,
  fimSuffix: specialStart + 5,
} as const;

/**
 * Writes config.json, generation_config.json, weights, tokenizer.json and tokenizer_config.json into `directory`
 * (made if absent) and returns the directory. About 0.5 MB with the defaults, a few milliseconds.
 */
export function writeTinyModel(directory: string, overrides: Partial<TinyModelOptions> = {}): string {
  const options = { ...defaults, ...overrides };
  mkdirSync(directory, { recursive: true });
  const writeJson = (name: string, value: unknown) =>
    writeFileSync(join(directory, name), JSON.stringify(value, null, 1));
  writeJson('config.json', configJson(options));
  writeJson('generation_config.json', {
    eos_token_id: options.stops ? [tinyTokenIds.endOfText, tinyTokenIds.imEnd] : [],
    temperature: 0.7,
    top_p: 0.9,
  });
  writeJson('tokenizer.json', tinyTokenizerJson());
  writeJson('tokenizer_config.json', {
    tokenizer_class: 'Qwen2Tokenizer',
    eos_token: '<|im_end|>',
    ...(options.chatTemplate === null ? {} : { chat_template: options.chatTemplate }),
  });
  writeWeights(directory, options);
  return directory;
}

/** A byte-level BPE with Qwen2's pre-tokeniser, NFC and six special tokens. */
export function tinyTokenizerJson(): Record<string, unknown> {
  const tokens = [...byteCharacters(), ...merges.map((pair) => pair.replace(' ', ''))];
  const qwen2Pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
    '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, index) => ({
      id: specialStart + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: qwen2Pattern }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

function configJson(options: TinyModelOptions): Record<string, unknown> {
  const { ropeScaling, ropeTheta } = options;
  const type = ropeScaling?.kind ?? 'default';
  const scaling = ropeScaling && {
    factor: ropeScaling.factor,
    ...(ropeScaling.kind === 'llama3' && {
      low_freq_factor: ropeScaling.lowFreqFactor,
      high_freq_factor: ropeScaling.highFreqFactor,
      original_max_position_embeddings: ropeScaling.originalContextLength,
    }),
  };
  return {
    architectures: [options.architecture === 'qwen2' ? 'Qwen2ForCausalLM' : 'LlamaForCausalLM'],
    vocab_size: tinyVocabSize,
    hidden_size: options.hiddenSize,
    intermediate_size: options.ffnSize,
    num_hidden_layers: options.layerCount,
    num_attention_heads: options.headCount,
    num_key_value_heads: options.kvHeadCount,
    head_dim: options.headSize,
    hidden_act: 'silu',
    max_position_embeddings: options.contextLength,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: options.tiedEmbeddings,
    ...(options.configDialect === 'rope_parameters'
      ? { rope_parameters: { rope_type: type, rope_theta: ropeTheta, ...scaling } }
      : { rope_theta: ropeTheta, rope_scaling: scaling && { type, ...scaling } }),
    ...(options.architecture === 'llama' && {
      attention_bias: options.attentionBias,
      mlp_bias: options.mlpBias,
    }),
    bos_token_id: null,
    ...(options.stops && { eos_token_id: tinyTokenIds.endOfText }),
  };
}

function writeWeights(directory: string, options: TinyModelOptions): void {
  const random = new Random(options.seed);
  const spec = readModelSpec(directory); // config.json is already there
  const tensors = [...requiredTensors(spec)].map(([name, shape]) =>
    floatTensor(name, { shape, values: randomTensor(name, shape, random), dtype: options.dtype }),
  );
  if (options.shardCount === 1) {
    writeSafetensors(join(directory, 'model.safetensors'), tensors);
    return;
  }
  const weightMap: Record<string, string> = {};
  const perShard = Math.ceil(tensors.length / options.shardCount);
  for (let shard = 0; shard < options.shardCount; shard++) {
    const part = tensors.slice(shard * perShard, (shard + 1) * perShard);
    const number = (n: number) => String(n).padStart(5, '0');
    const name = `model-${number(shard + 1)}-of-${number(options.shardCount)}.safetensors`;
    writeSafetensors(join(directory, name), part);
    for (const tensor of part) weightMap[tensor.name] = name;
  }
  const index = { metadata: {}, weight_map: weightMap };
  writeFileSync(join(directory, 'model.safetensors.index.json'), JSON.stringify(index));
}

/** Sizes that keep activations near 1 and give logits a spread of about 3, so that greedy choices are clear. */
function randomTensor(name: string, shape: readonly number[], random: Random): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  const isNorm = name.endsWith('norm.weight');
  const isEmbedding = name.includes('embed_tokens') || name.includes('lm_head');
  const deviation = isNorm || shape.length === 1 ? 0.1 : (isEmbedding ? 3 : 1.5) / Math.sqrt(shape.at(-1)!);
  for (let i = 0; i < values.length; i++) values[i] = (isNorm ? 1 : 0) + deviation * normal(random);
  return values;
}

/** Standard normal, near enough: twelve uniforms (Irwin–Hall). */
function normal(random: Random): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random.next();
  return sum;
}
