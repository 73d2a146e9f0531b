import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../../../models/checkpoint/checkpoint.ts';
import { requiredTensors } from '../../../../models/weights/required-tensors.ts';
import { openSafetensors, readTensor } from '../../../../models/weights/safetensors.ts';
import { floatTensor, writeSafetensors } from '../../../golden/safetensors-writer.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();

test.each([
  ['gemma3', 'language_model.', (name: string) => `language_model.${name}`],
  ['gemma3', 'model.language_model.', (name: string) => name.replace('model.', 'model.language_model.')],
  ['ministral3', 'language_model.', (name: string) => `language_model.${name}`],
])('the decoder of a model that takes images is read: %s below %s', (family, prefix, spell) => {
  const source = join(import.meta.dirname, '../../../golden/models/families', family);
  const plain = loadCheckpoint(source);
  const directory = join(root, `within-${family}-${prefix}`);
  mkdirSync(directory);
  const {
    architectures: _,
    eos_token_id,
    ...text_config
  } = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8')) as Record<string, unknown>;
  const config = {
    architectures: [
      family === 'gemma3' ? 'Gemma3ForConditionalGeneration' : 'Mistral3ForConditionalGeneration',
    ],
    eos_token_id,
    text_config,
    vision_config: {},
  };
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  const { tensors } = openSafetensors(join(source, 'model.safetensors'));
  const renamed = [...tensors].map(([name, { shape }]) => {
    const values = readTensor(openSafetensors(join(source, 'model.safetensors')), name);
    return floatTensor(spell(name), { shape, values, dtype: 'BF16' });
  });
  writeSafetensors(join(directory, 'model.safetensors'), renamed);
  const within = loadCheckpoint(directory);
  expect(within.spec).toEqual({ ...plain.spec, name: `within-${family}-${prefix}` });
  for (const name of requiredTensors(plain.spec).keys()) expect(within.read(name)).toEqual(plain.read(name));
});
