import { expect, test } from 'vitest';
import { chooseFiles } from '../../../../server/hub/file-choice.ts';
import { parseReference } from '../../../../server/hub/reference.ts';

const choose = (name: string, paths: readonly string[]) => chooseFiles(paths, parseReference(name)!);
const parts = (name: string, paths: readonly string[]) => {
  const choice = choose(name, paths);
  return choice.kind === 'gguf' ? choice.parts : choice.kind;
};

const QUANTISATIONS = [
  'README.md',
  'M-IQ4_NL.gguf',
  'M-Q4_0.gguf',
  'M-Q4_K_M.gguf',
  'M-Q4_K_S.gguf',
  'M.Q8_0.gguf',
  'mmproj-M-Q8_0.gguf',
  'M.imatrix.gguf',
];

test('a quantisation picks its file, in any case, and no longer name', () => {
  expect(parts('a/b:Q8_0', QUANTISATIONS)).toEqual(['M.Q8_0.gguf']);
  expect(parts('a/b:q4_k_s', QUANTISATIONS)).toEqual(['M-Q4_K_S.gguf']);
  expect(() => parts('a/b:Q4_K', QUANTISATIONS)).toThrow('M-Q4_K_M.gguf');
  expect(() => parts('a/b:Q4_NL', QUANTISATIONS)).toThrow('no GGUF file has this name');
  expect(parts('a/b:UD-Q4_K_XL', ['M-UD-Q4_K_XL.gguf'])).toEqual(['M-UD-Q4_K_XL.gguf']);
  expect(parts('a/b:Q6_K', ['Q6_K/model.gguf'])).toEqual(['Q6_K/model.gguf']);
});

test('without one Q4_K_M is taken, and without that the first', () => {
  expect(parts('a/b', QUANTISATIONS)).toEqual(['M-Q4_K_M.gguf']);
  expect(parts('a/b', ['z-Q8_0.gguf', 'c-Q5_0.gguf', 'mmproj-a.gguf'])).toEqual(['c-Q5_0.gguf']);
});

test('a file is taken by its name', () => {
  expect(parts('a/b:m-q4_0.GGUF', QUANTISATIONS)).toEqual(['M-Q4_0.gguf']);
  expect(() => parts('a/b:none.gguf', QUANTISATIONS)).toThrow('no GGUF file');
});

test('of a split file all parts come, in order, and none may lack', () => {
  const split = [
    'q/M-Q8_0-00002-of-00003.gguf',
    'q/M-Q8_0-00003-of-00003.gguf',
    'q/M-Q8_0-00001-of-00003.gguf',
  ];
  const inOrder = [...split].sort();
  expect(parts('a/b:q8_0', split)).toEqual(inOrder);
  expect(parts('a/b', split)).toEqual(inOrder);
  expect(parts('a/b:q/M-Q8_0-00001-of-00003.gguf', split)).toEqual(inOrder);
  expect(() => parts('a/b', split.slice(1))).toThrow('2 of the 3 parts');
});

test('safetensors come with what a model needs beside them, and nothing else', () => {
  const paths = [
    'README.md',
    'config.json',
    'tokenizer.json',
    'chat_template.jinja',
    'model.safetensors',
    'onnx/model.onnx',
    'pytorch_model.bin',
    'sub/config.json',
  ];
  expect(choose('a/b', paths)).toEqual({
    kind: 'safetensors',
    settings: ['chat_template.jinja', 'config.json', 'tokenizer.json'],
    weights: ['model.safetensors'],
    isIndex: false,
  });
  const sharded = ['config.json', 'model.safetensors.index.json', 'model-00001-of-00002.safetensors'];
  expect(choose('a/b', sharded)).toMatchObject({ weights: ['model.safetensors.index.json'], isIndex: true });
});

test('a model with both is taken as safetensors, unless a quantisation is named', () => {
  const both = ['config.json', 'model.safetensors', 'M-Q8_0.gguf'];
  expect(parts('a/b', both)).toBe('safetensors');
  expect(parts('a/b:Q8_0', both)).toEqual(['M-Q8_0.gguf']);
});

test('what cannot be served is refused by what it is', () => {
  expect(() => choose('a/b', ['adapter_config.json', 'adapter_model.safetensors'])).toThrow('is an adapter');
  expect(() => choose('a/b', ['config.json', 'pytorch_model-00001-of-00002.bin'])).toThrow('PyTorch');
  expect(() => choose('a/b', ['README.md'])).toThrow('neither safetensors nor GGUF');
  expect(() => choose('a/b:Q8_0', ['config.json', 'model.safetensors'])).toThrow('a/b has no GGUF files');
});
