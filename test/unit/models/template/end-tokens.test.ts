import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadModel } from '../../../../models/model.ts';
import { ChatTemplate } from '../../../../models/template/chat-template.ts';
import { endTokens } from '../../../../models/template/end-tokens.ts';
import {
  tinyTokenIds,
  tinyTokenizerJson,
  tinyVocabSize,
  writeTinyModel,
} from '../../../golden/tiny-model.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();
const directory = writeTinyModel(join(root, 'ends'));
const { tokenizer } = loadModel(directory);
const { endOfText, imEnd, fimPrefix } = tinyTokenIds;

const ends = (config: readonly number[], files: { template?: string; named?: string | object }) => {
  const place = join(root, `named-${Math.abs(JSON.stringify(files).length)}`);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'tokenizer_config.json'), JSON.stringify({ eos_token: files.named ?? null }));
  const template = files.template === undefined ? null : ChatTemplate.parse(files.template, tokenizer);
  return endTokens(config, { directory: place, tokenizer, template, vocabSize: tinyVocabSize });
};

const turns = (end: string) =>
  `{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}${end}{% endfor %}`;

test('what the template writes behind an answer ends it, though no file says so', () => {
  expect(ends([endOfText], { template: turns('<|im_end|>\n') })).toEqual([endOfText, imEnd]);
  expect(ends([endOfText], { template: turns('\n <|im_end|>') })).toEqual([endOfText, imEnd]);
  expect(ends([endOfText], { template: turns('\n') })).toEqual([endOfText]);
  expect(ends([endOfText], { template: turns('</unknown>') })).toEqual([endOfText]);
});

test("the tokenizer's own end is one too, written either way", () => {
  expect(ends([endOfText], { named: '<|im_end|>' })).toEqual([endOfText, imEnd]);
  expect(ends([endOfText], { named: { content: '<|fim_prefix|>' } })).toEqual([endOfText, fimPrefix]);
  expect(ends([endOfText], { named: '<|nowhere|>' })).toEqual([endOfText]);
});

test('a template that refuses the question leaves what the files say', () => {
  expect(ends([endOfText], { template: "{{ raise_exception('no') }}" })).toEqual([endOfText]);
});

test('a model has all of its ends', () => {
  const model = writeTinyModel(join(root, 'all'));
  writeFileSync(join(model, 'generation_config.json'), '{}');
  writeFileSync(join(model, 'tokenizer.json'), JSON.stringify(tinyTokenizerJson()));
  expect(loadModel(model).spec.eosTokenIds).toEqual([endOfText, imEnd]);
});
