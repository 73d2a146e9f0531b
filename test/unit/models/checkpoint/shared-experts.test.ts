// Fields of shared experts in the configs of families that share nothing, as Qwen3-Coder is published: they mean nothing, as they
// do to transformers.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readModelSpec } from '../../../../models/checkpoint/checkpoint-config.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const families = join(import.meta.dirname, '../../../golden/models/families');
const directory = temporaryDirectory();

function specOf(family: string, more: object) {
  const path = join(directory, family);
  mkdirSync(path, { recursive: true });
  const config = JSON.parse(readFileSync(join(families, family, 'config.json'), 'utf8')) as object;
  writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, ...more }));
  return readModelSpec(path);
}

test.each([0, null, 512])('a Qwen3-MoE whose shared expert is said to have %s has none', (size) => {
  const plain = specOf('qwen3-moe', {});
  expect(specOf('qwen3-moe', { shared_expert_intermediate_size: size, qkv_bias: false })).toEqual(plain);
  expect(plain.experts?.shared).toBeNull();
});

test('a dense model is none of theirs either', () => {
  expect(specOf('qwen3', { shared_intermediate_size: 512 })).toEqual(specOf('qwen3', {}));
});

test('those that share say how much', () => {
  expect(specOf('qwen2-moe', {}).experts?.shared).toEqual({ size: 64, isGated: true });
  expect(specOf('granite-moe-shared', {}).experts?.shared).toEqual({ size: 64, isGated: false });
  expect(specOf('granite-moe-shared', { shared_intermediate_size: 0 }).experts?.shared).toBeNull();
});
