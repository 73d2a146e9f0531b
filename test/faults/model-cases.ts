// Model files that somebody broke, by accident or on purpose: each case takes a small whole model and makes one thing of
// it absurd. Owns what is written, never what is said about it. After it: models.ts has a server started with each.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { floatTensor, safetensorsBytes } from '../golden/safetensors-writer.ts';
import { writeTinyModel } from '../golden/tiny-model.ts';
import { type MetadataValue, writeGguf } from '../peer/gguf-file.ts';

/** Breaks the model in `directory`; a text it answers is the path to serve instead. */
type Break = (directory: string) => unknown;

type Json = Record<string, unknown>;

/** By family, by what is wrong. */
export const MODEL_CASES: Readonly<Record<string, Readonly<Record<string, Break>>>> = {
  places: {
    'nothing there': (directory) => join(directory, 'nobody'),
    'a file for a directory': (directory) => join(directory, 'config.json'),
    'an empty directory': (directory) => {
      mkdirSync(join(directory, 'empty'));
      return join(directory, 'empty');
    },
    'a circle of links': (directory) => {
      symlinkSync('circle', join(directory, 'circle'));
      return join(directory, 'circle');
    },
    ...eachFile('a FIFO for', (path) => void execFileSync('mkfifo', [path])),
    ...eachFile('a directory for', (path) => void mkdirSync(path)),
    ...eachFile('an endless device for', (path) => symlinkSync('/dev/zero', path)),
    ...eachFile('an empty', (path) => writeFileSync(path, '')),
    ...eachFile('a terabyte of zeros for', (path) => {
      writeFileSync(path, '');
      truncateSync(path, 2 ** 40);
    }),
  },
  safetensors: {
    'seven bytes': (directory) => writeFileSync(weightsOf(directory), '1234567'),
    'a head of 2^63 bytes': (directory) => patch(weightsOf(directory), 0, [0, 0, 0, 0, 0, 0, 0, 0x80]),
    'a head of a terabyte': (directory) => patch(weightsOf(directory), 0, [0, 0, 0, 0, 0, 1, 0, 0]),
    'a head that is cut': (directory) => truncateSync(weightsOf(directory), 100),
    'data that is cut': (directory) =>
      truncateSync(weightsOf(directory), readFileSync(weightsOf(directory)).length - 1),
    'data beyond the last tensor': (directory) => writeFileSync(weightsOf(directory), 'more', { flag: 'a' }),
    'a head of brackets': (directory) =>
      writeFileSync(weightsOf(directory), safetensorsBytes('['.repeat(1_000_000), new Uint8Array())),
    'a million tensors of nothing': (directory) => {
      const tensor = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';
      const head = Array.from({ length: 1_000_000 }, (_, index) => `"${index}":${tensor}`).join(',');
      writeFileSync(weightsOf(directory), safetensorsBytes(`{${head}}`, new Uint8Array()));
    },
    'two tensors in one place': (directory) =>
      changeHead(directory, (tensors) => {
        const [first, second] = Object.keys(tensors).filter((name) => name !== '__metadata__');
        tensors[second!] = tensors[first!]!;
      }),
    'a shape beyond numbers': (directory) =>
      changeTensor(directory, (tensor) => ({ ...tensor, shape: [2 ** 40, 2 ** 40] })),
    'a negative shape': (directory) => changeTensor(directory, (tensor) => ({ ...tensor, shape: [-1, -4] })),
    'offsets before the data': (directory) =>
      changeTensor(directory, (tensor) => ({ ...tensor, data_offsets: [-8, 8] })),
    'an unknown type': (directory) => changeTensor(directory, (tensor) => ({ ...tensor, dtype: 'F3' })),
    'a tensor less': (directory) =>
      changeHead(directory, (tensors) => {
        tensors['model.other'] = tensors['model.norm.weight']!;
        delete tensors['model.norm.weight'];
      }),
    'no numbers': (directory) => poison(directory, Number.NaN),
    'infinite numbers': (directory) => poison(directory, Number.POSITIVE_INFINITY),
    'an index to elsewhere': (directory) => {
      const weight_map = { 'model.norm.weight': '../../../../../../etc/passwd' };
      rmSync(weightsOf(directory));
      writeFileSync(join(directory, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
    },
  },
  config: {
    ...eachConfig({
      'a billion layers': { num_hidden_layers: 1e9 },
      'a few layers more than there are': { num_hidden_layers: 900 },
      'minus three layers': { num_hidden_layers: -3 },
      'no layers': { num_hidden_layers: 0 },
      'half a layer': { num_hidden_layers: 0.5 },
      'layers in words': { num_hidden_layers: 'three' },
      '2^31 hidden': { hidden_size: 2 ** 31 },
      '2^53 hidden': { hidden_size: Number.MAX_SAFE_INTEGER },
      'a feed-forward of 10^15': { intermediate_size: 1e15 },
      'a vocabulary of 10^12': { vocab_size: 1e12 },
      'a vocabulary of 3': { vocab_size: 3 },
      'a billion heads': { num_attention_heads: 1e9, num_key_value_heads: 1e9 },
      'more KV heads than heads': { num_key_value_heads: 8 },
      'heads of 2^40': { head_dim: 2 ** 40 },
      'no heads': { num_attention_heads: 0 },
      'an epsilon of 0': { rms_norm_eps: 0 },
      'an architecture of nobody': { architectures: ['constructor'] },
      'no architecture': { architectures: [] },
      'another activation': { hidden_act: '__proto__' },
      'a scaling of nobody': { rope_parameters: { rope_type: 'toString', rope_theta: 1 } },
    }),
    'brackets a million deep': (directory) =>
      writeFileSync(join(directory, 'config.json'), '['.repeat(1_000_000)),
    'a list': (directory) => writeFileSync(join(directory, 'config.json'), '[]'),
    'no JSON': (directory) => writeFileSync(join(directory, 'config.json'), '\u0000\u0001{'),
  },
  tokenizer: {
    'no object': (directory) => writeFileSync(join(directory, 'tokenizer.json'), '17'),
    'no model': (directory) => writeFileSync(join(directory, 'tokenizer.json'), '{}'),
    'a model of nobody': (directory) => changeModel(directory, { type: 'constructor' }),
    'ids of 10^12': (directory) => changeModel(directory, { vocab: { a: 1e12 } }),
    'negative ids': (directory) => changeModel(directory, { vocab: { a: -1 } }),
    'ids in halves': (directory) => changeModel(directory, { vocab: { a: 0.5 } }),
    'merges of tokens that are not there': (directory) =>
      changeModel(directory, { merges: ['nobody nowhere'] }),
    'merges that are numbers': (directory) => changeModel(directory, { merges: [1, 2, 3] }),
    'an added token of id 2^31': (directory) => addToken(directory, { id: 2 ** 31, content: '<far>' }),
    'a pattern that is none': (directory) => changeTokenizer(directory, { pre_tokenizer: split('(') }),
    'a step of nobody': (directory) => changeTokenizer(directory, { normalizer: { type: '__proto__' } }),
    'steps in steps, 100,000 deep': (directory) => {
      const path = join(directory, 'tokenizer.json');
      const depth = 100_000;
      const nested = `${'{"type":"Sequence","normalizers":['.repeat(depth)}${']}'.repeat(depth)}`;
      writeFileSync(path, readFileSync(path, 'utf8').replace(/\{\s*"type": "NFC"\s*\}/, nested));
    },
    'an endless template': (directory) => setTemplate(directory, '{% for a in b %}'),
    'a template of brackets': (directory) => setTemplate(directory, `{{ ${'('.repeat(100_000)} }}`),
  },
  gguf: {
    'four bytes': gguf(() => Buffer.from('GGUF')),
    zeros: gguf(() => Buffer.alloc(1000)),
    'version 99': gguf((file) => written(file, 4, 99, 4)),
    '2^60 tensors': gguf((file) => written(file, 8, 2 ** 60, 8)),
    'a million tensors': gguf((file) => written(file, 8, 1_000_000, 8)),
    '2^60 entries': gguf((file) => written(file, 16, 2 ** 60, 8)),
    'a key of 2^40 bytes': gguf((file) => written(file, 24, 2 ** 40, 8)),
    'half a head': gguf((file) => file.subarray(0, 120)),
    'half the data': gguf((file) => file.subarray(0, file.length - 64)),
    'four billion layers': gguf((file) => file, { 'llama.block_count': uint32(0xffffffff) }),
    'no layers': gguf((file) => file, { 'llama.block_count': uint32(0) }),
    'a width of 2^31': gguf((file) => file, { 'llama.embedding_length': uint32(2 ** 31) }),
    'no heads': gguf((file) => file, { 'llama.attention.head_count': uint32(0) }),
    'an alignment of 0': gguf((file) => aligned(file, 0)),
    'an alignment of 3': gguf((file) => aligned(file, 3)),
    'an alignment of 2^31': gguf((file) => aligned(file, 2 ** 31)),
    'an architecture of nobody': gguf((file) => file, {
      'general.architecture': { kind: 'string', value: 'constructor' },
    }),
    'an architecture that is a number': gguf((file) => file, { 'general.architecture': uint32(7) }),
    'no words': gguf((file) => file, { 'tokenizer.ggml.tokens': { kind: 'strings', value: [] } }),
    'words that are numbers': gguf((file) => file, { 'tokenizer.ggml.tokens': uint32(7) }),
    'shards that are not there': gguf((file) => file, {
      'split.count': uint32(60_000),
      'split.no': uint32(0),
    }),
  },
};

/** Writes a whole model and breaks it; answers the path to serve. */
export function brokenModel(directory: string, breaking: Break): string {
  writeTinyModel(directory);
  const other = breaking(directory);
  return typeof other === 'string' ? other : directory;
}

function eachFile(what: string, put: (path: string) => void): Readonly<Record<string, Break>> {
  const names = ['config.json', 'tokenizer.json', 'model.safetensors', 'tokenizer_config.json', 'one.gguf'];
  return Object.fromEntries(
    names.map((name): [string, Break] => [
      `${what} ${name}`,
      (directory) => {
        const path = join(directory, name);
        rmSync(path, { force: true });
        put(path);
        return name.endsWith('.gguf') ? path : undefined;
      },
    ]),
  );
}

function eachConfig(changes: Readonly<Record<string, Json>>): Readonly<Record<string, Break>> {
  return Object.fromEntries(
    Object.entries(changes).map(([what, change]): [string, Break] => [
      what,
      (directory) => changeJson(join(directory, 'config.json'), (config) => ({ ...config, ...change })),
    ]),
  );
}

function changeJson(path: string, change: (value: Json) => Json): void {
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')) as Json)));
}

function changeTokenizer(directory: string, change: Json): void {
  changeJson(join(directory, 'tokenizer.json'), (tokenizer) => ({ ...tokenizer, ...change }));
}

function changeModel(directory: string, change: Json): void {
  changeJson(join(directory, 'tokenizer.json'), (tokenizer) => ({
    ...tokenizer,
    model: { ...(tokenizer['model'] as Json), ...change },
  }));
}

function addToken(directory: string, token: Json): void {
  changeJson(join(directory, 'tokenizer.json'), (tokenizer) => {
    const [first, ...others] = tokenizer['added_tokens'] as Json[];
    return { ...tokenizer, added_tokens: [{ ...first, ...token }, ...others] };
  });
}

export function setTemplate(directory: string, template: string): void {
  changeJson(join(directory, 'tokenizer_config.json'), (config) => ({ ...config, chat_template: template }));
}

function split(Regex: string): Json {
  return { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
}

function weightsOf(directory: string): string {
  return join(directory, 'model.safetensors');
}

function patch(path: string, at: number, bytes: readonly number[]): void {
  const file = readFileSync(path);
  file.set(bytes, at);
  writeFileSync(path, file);
}

function changeHead(directory: string, change: (tensors: Record<string, Json>) => void): void {
  const path = weightsOf(directory);
  const file = readFileSync(path);
  const end = 8 + Number(file.readBigUInt64LE());
  const tensors = JSON.parse(file.toString('utf8', 8, end)) as Record<string, Json>;
  change(tensors);
  writeFileSync(path, safetensorsBytes(JSON.stringify(tensors), file.subarray(end)));
}

function changeTensor(directory: string, change: (tensor: Json) => Json): void {
  changeHead(directory, (tensors) => {
    tensors['model.norm.weight'] = change(tensors['model.norm.weight']!);
  });
}

/** Puts a value into the last norm of the model. */
function poison(directory: string, value: number): void {
  const path = weightsOf(directory);
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE());
  const tensors = JSON.parse(file.toString('utf8', 8, start)) as Record<string, Json>;
  const [begin] = tensors['model.norm.weight']!['data_offsets'] as [number];
  file.writeFloatLE(value, start + begin + 4);
  writeFileSync(path, file);
}

function uint32(value: number): MetadataValue {
  return { kind: 'uint32', value };
}

/** A GGUF file of little sense, whole but for what `change` makes of its bytes and `more` of its metadata. */
function gguf(
  change: (file: Buffer) => Uint8Array,
  more: Readonly<Record<string, MetadataValue>> = {},
): Break {
  return (directory) => {
    const path = join(directory, 'broken.gguf');
    const metadata = new Map<string, MetadataValue>([
      ['general.architecture', { kind: 'string', value: 'llama' }],
      ['llama.block_count', uint32(1)],
      ['llama.embedding_length', uint32(64)],
      ['llama.feed_forward_length', uint32(96)],
      ['llama.context_length', uint32(128)],
      ['llama.attention.head_count', uint32(4)],
      ['llama.attention.head_count_kv', uint32(2)],
      ['llama.attention.layer_norm_rms_epsilon', { kind: 'float32', value: 1e-5 }],
      ['tokenizer.ggml.model', { kind: 'string', value: 'gpt2' }],
      ['tokenizer.ggml.tokens', { kind: 'strings', value: ['a', 'b'] }],
      ['tokenizer.ggml.merges', { kind: 'strings', value: [] }],
      ...Object.entries(more),
    ]);
    const values = Float32Array.from({ length: 128 }, () => 0.5);
    const tensor = floatTensor('token_embd.weight', { shape: [2, 64], values, dtype: 'F32' });
    writeGguf(path, metadata, [{ name: tensor.name, shape: tensor.shape, type: 'F32', read: () => values }]);
    writeFileSync(path, change(readFileSync(path)));
    return path;
  };
}

function aligned(file: Buffer, alignment: number): Buffer {
  const name = 'general.alignment';
  return written(file, file.indexOf(name) + name.length + 4, alignment, 4);
}

function written(file: Buffer, at: number, value: number, size: 4 | 8): Buffer {
  if (size === 4) file.writeUInt32LE(value, at);
  else file.writeBigUInt64LE(BigInt(value), at);
  return file;
}
