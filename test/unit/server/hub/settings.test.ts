import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hubSettings } from '../../../../server/hub/settings.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const home = temporaryDirectory();

test('the variables of Hugging Face’s tools say where the cache is', () => {
  const at = (env: Record<string, string>) => hubSettings({ HOME: home, ...env }).cacheDirectory;
  expect(at({})).toBe(join(home, '.cache/huggingface/hub'));
  expect(at({ XDG_CACHE_HOME: '/x' })).toBe('/x/huggingface/hub');
  expect(at({ XDG_CACHE_HOME: '/x', HF_HOME: '~/h' })).toBe(join(home, 'h/hub'));
  expect(at({ HF_HOME: '/h', HF_HUB_CACHE: '/c' })).toBe('/c');
});

test('the token is the variable’s, else that of the login, and never a broken one', () => {
  const of = (env: Record<string, string>) => hubSettings({ HOME: home, ...env }).token;
  expect(of({})).toBeNull();
  mkdirSync(join(home, '.cache/huggingface'), { recursive: true });
  writeFileSync(join(home, '.cache/huggingface/token'), 'hf_login\n');
  expect(of({})).toBe('hf_login');
  expect(of({ HF_TOKEN: 'hf_mine' })).toBe('hf_mine');
  expect(of({ HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).toBeNull();
  expect(() => of({ HF_TOKEN: 'hf_a\r\nx: y' })).toThrow('HF_TOKEN');
});

test('the endpoint is an address, without a slash at its end', () => {
  const of = (HF_ENDPOINT: string) => hubSettings({ HOME: home, HF_ENDPOINT }).endpoint;
  expect(of('')).toBe('https://huggingface.co');
  expect(of('http://mirror:8080/hub/')).toBe('http://mirror:8080/hub');
  expect(() => of('mirror')).toThrow('HF_ENDPOINT = mirror');
  expect(() => of('ftp://mirror')).toThrow('HF_ENDPOINT');
});

test('offline is said as those tools say it', () => {
  const of = (env: Record<string, string>) => hubSettings({ HOME: home, ...env }).offline;
  expect([
    of({}),
    of({ HF_HUB_OFFLINE: '0' }),
    of({ HF_HUB_OFFLINE: '1' }),
    of({ TRANSFORMERS_OFFLINE: 'true' }),
  ]).toEqual([false, false, true, true]);
});
