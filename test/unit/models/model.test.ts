import { rmSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { plainDefaults } from '../../../models/config/sampling-defaults.ts';
import { CheckpointError } from '../../../models/files/model-file.ts';
import { loadModel, resolveModel } from '../../../models/model.ts';
import { strangerIn } from '../../../server/text/stranger.ts';
import { tinyTokenIds, tinyTokenizerJson, writeTinyModel } from '../../golden/tiny-model.ts';
import { temporaryDirectory } from '../../temporary-directory.ts';

const root = temporaryDirectory();

test('a directory gives everything but the weights', () => {
  const directory = writeTinyModel(join(root, 'tiny'));
  rmSync(join(directory, 'model.safetensors')); // not needed here
  const model = loadModel(directory);
  expect(model).toMatchObject({
    name: 'tiny',
    path: directory,
    defaults: { temperature: 0.7, topP: 0.9, topK: 0, repetitionPenalty: 1 },
    fim: {
      prefixId: tinyTokenIds.fimPrefix,
      middleId: tinyTokenIds.fimMiddle,
      suffixId: tinyTokenIds.fimSuffix,
    },
  });
  expect(model.spec.eosTokenIds).toContain(tinyTokenIds.imEnd);
  expect(model.chatTemplate).not.toBeNull();
  expect(model.tokenizer.decode(model.tokenizer.encode('let x'))).toBe('let x');
});

test('a relative directory is made absolute', () => {
  const directory = writeTinyModel(join(root, 'tiny'));
  const path = join('.', relative(process.cwd(), directory));
  const model = loadModel(path.includes('/') ? path : `./${path}`);
  expect(model.path).toBe(directory);
  expect(resolveModel('.')).toBe(process.cwd());
});

test('the embedded model is found by its name, wherever one stands', () => {
  const model = loadModel('spark-nano');
  expect(model.name).toBe('spark-nano');
  expect(isAbsolute(model.path)).toBe(true);
  expect(model.fim).not.toBeNull();
  expect(model.chatTemplate).not.toBeNull();
});

test('an unknown name lists the embedded models', () => {
  expect(() => loadModel('spark-giga')).toThrow(CheckpointError);
  expect(() => loadModel('spark-giga')).toThrow(/there are: .*spark-nano/);
  expect(() => loadModel('graph')).toThrow(CheckpointError); // a folder of source, not a model
  expect(() => loadModel(join(root, 'absent'))).toThrow(/config\.json: is missing; there is no .*absent$/);
});

test('without generation_config.json and template our defaults hold', () => {
  const directory = writeTinyModel(join(root, 'bare'), { chatTemplate: null });
  rmSync(join(directory, 'generation_config.json'));
  const model = loadModel(directory);
  expect(model.defaults).toEqual(plainDefaults);
  expect(model.chatTemplate).toBeNull();
});

test('an author who advises against sampling gets greedy decoding', () => {
  const directory = writeTinyModel(join(root, 'greedy'));
  writeFileSync(
    join(directory, 'generation_config.json'),
    '{"do_sample": false, "top_k": 20, "repetition_penalty": 1.1}',
  );
  expect(loadModel(directory).defaults).toEqual({
    temperature: 0,
    topP: 1,
    topK: 20,
    minP: 0,
    repetitionPenalty: 1.1,
  });
});

test('advice out of range is left out with a word, and the rest of it holds', () => {
  const directory = writeTinyModel(join(root, 'wild'));
  for (const [field, value] of Object.entries({
    temperature: -1,
    top_p: 0,
    top_k: 0.5,
    repetition_penalty: 0,
  })) {
    writeFileSync(join(directory, 'generation_config.json'), JSON.stringify({ min_p: 0.1, [field]: value }));
    const { defaults, warnings } = loadModel(directory);
    expect(defaults).toEqual({ temperature: 1, topP: 1, topK: 0, minP: 0.1, repetitionPenalty: 1 });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`generation_config.json: ${field} = ${value}: `);
  }
});

test('an added token above the vocabulary is known, and nothing that a prompt may hold', () => {
  const directory = writeTinyModel(join(root, 'wide'));
  const json = tinyTokenizerJson() as { added_tokens: object[]; model: { vocab: Record<string, number> } };
  const added = [...json.added_tokens, { id: 320, content: '<x>', special: true }];
  const write = (changed: object) =>
    writeFileSync(join(directory, 'tokenizer.json'), JSON.stringify({ ...json, ...changed }));
  write({ added_tokens: added });
  const model = loadModel(directory);
  expect(model.warnings).toEqual(["<x> is above the model's vocabulary: never drawn, refused in prompts"]);
  expect(strangerIn(model.tokenizer.encode('a<x>'), model)).toContain('"<x>", token 320');
  expect(strangerIn(model.tokenizer.encode('a<y>'), model)).toBeNull();
  write({ model: { ...json.model, vocab: { ...json.model.vocab, zzz: 320 } } });
  expect(() => loadModel(directory)).toThrow('its ids reach 320, the model knows 320');
});

test.each([
  ['StarCoder', ['<fim_prefix>', '<fim_middle>', '<fim_suffix>']],
  ['DeepSeek-Coder', ['<｜fim▁begin｜>', '<｜fim▁end｜>', '<｜fim▁hole｜>']],
])('the fill-in-the-middle tokens of %s are known', (_, spellings) => {
  const directory = writeTinyModel(join(root, 'fim'));
  const added = spellings.map((content, index) => ({ id: 310 + index, content, special: true }));
  writeFileSync(
    join(directory, 'tokenizer.json'),
    JSON.stringify({ ...tinyTokenizerJson(), added_tokens: added }),
  );
  expect(loadModel(directory).fim).toEqual({ prefixId: 310, middleId: 311, suffixId: 312 });
});

test('a model without such tokens fills no middles', () => {
  const directory = writeTinyModel(join(root, 'no-fim'));
  writeFileSync(
    join(directory, 'tokenizer.json'),
    JSON.stringify({ ...tinyTokenizerJson(), added_tokens: [] }),
  );
  expect(loadModel(directory).fim).toBeNull();
});
