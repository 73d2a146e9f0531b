import { expect, test } from 'vitest';
import { HubError } from '../../../../server/hub/hub-error.ts';
import { parseReference, referenceText } from '../../../../server/hub/reference.ts';

test('a name has an owner, perhaps a revision, perhaps a quantisation or a file', () => {
  const read = (text: string) => {
    const { id, revision, file } = parseReference(text)!;
    return [id, revision, file];
  };
  expect(read('Qwen/Qwen2.5-0.5B')).toEqual(['Qwen/Qwen2.5-0.5B', 'main', null]);
  expect(read('a/b:Q4_K_M')).toEqual(['a/b', 'main', 'Q4_K_M']);
  expect(read('a/b:sub/x-00001-of-00002.gguf')).toEqual(['a/b', 'main', 'sub/x-00001-of-00002.gguf']);
  expect(read('a/b@v1.0')).toEqual(['a/b', 'v1.0', null]);
  expect(read('a/b@refs/pr/3:q8_0')).toEqual(['a/b', 'refs/pr/3', 'q8_0']);
  expect(read('https://huggingface.co/a/b/')).toEqual(['a/b', 'main', null]);
  expect(read('a/b:latest')).toEqual(['a/b', 'main', null]);
  expect(read('hf.co/a/b:Q8_0')).toEqual(['a/b', 'main', 'Q8_0']);
});

test('paths and bare names are none of the hub', () => {
  for (const text of [
    'spark-nano',
    './a/b',
    '../b',
    '/a/b',
    'a/b/c',
    '~/b',
    'dir/x.gguf',
    'C:\\models\\x',
    '',
  ]) {
    expect(parseReference(text), text).toBeNull();
  }
});

test('a name that could leave its folder is refused', () => {
  const names = [
    'a/..',
    'a/b@../../x',
    'a/b@/etc',
    'a/b:../x.gguf',
    'a/b:/x.gguf',
    'a/b--c',
    'a/b@',
    'a/b:',
    'a/-b',
    'a/b@x//y',
  ];
  for (const text of names) {
    expect(() => parseReference(text), text).toThrow(HubError);
  }
});

test('its text reads back', () => {
  for (const text of ['a/b', 'a/b@v1:Q8_0', 'a/b:x.gguf'])
    expect(referenceText(parseReference(text)!)).toBe(text);
});
