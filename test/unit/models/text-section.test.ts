import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint, requiredTensors } from '../../../models/checkpoint.ts';
import { openSafetensors, readTensor } from '../../../models/safetensors.ts';
import { floatTensor, writeSafetensors } from '../../golden/safetensors-writer.ts';
import { temporaryDirectory } from '../../temporary-directory.ts';

const root = temporaryDirectory();

test.each([
  ['language_model.', (name: string) => `language_model.${name}`],
  ['model.language_model.', (name: string) => name.replace('model.', 'model.language_model.')],
])('the decoder of a model that takes images is read below %s', (prefix, spell) => {
  const source = join(import.meta.dirname, '../../golden/models/families/gemma3');
  const plain = loadCheckpoint(source);
  const directory = join(root, `within-${prefix}`);
  mkdirSync(directory);
  const {
    architectures: _,
    eos_token_id,
    ...text_config
  } = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8')) as Record<string, unknown>;
  const config = {
    architectures: ['Gemma3ForConditionalGeneration'],
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
  expect(within.spec).toEqual({ ...plain.spec, name: `within-${prefix}` });
  for (const name of requiredTensors(plain.spec).keys()) expect(within.read(name)).toEqual(plain.read(name));
});
