// Where the hub is, where its cache lies and who asks, from the environment variables of Hugging Face's own tools, so
// that both share one cache and one login. Owns their names and precedence. After it: pull.ts and cached-model.ts.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { HubError } from './hub-error.ts';

export interface HubSettings {
  readonly endpoint: string; // http(s)://host[:port][/path], without a slash at its end
  readonly cacheDirectory: string; // absolute; of models--OWNER--NAME folders
  readonly token: string | null;
  readonly offline: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

const ENDPOINT = 'https://huggingface.co';

/** Throws HubError where a variable cannot be used. Source of the names: huggingface_hub's constants. */
export function hubSettings(env: Env): HubSettings {
  const home = env['HOME'] || homedir();
  const path = (text: string) => resolve(text.replace(/^~(?=$|[/\\])/, home));
  const cacheHome = env['XDG_CACHE_HOME'] || join(home, '.cache');
  const hubHome = path(env['HF_HOME'] || join(cacheHome, 'huggingface'));
  return {
    endpoint: endpointOf(env['HF_ENDPOINT'] || ENDPOINT),
    cacheDirectory: path(env['HF_HUB_CACHE'] || env['HUGGINGFACE_HUB_CACHE'] || join(hubHome, 'hub')),
    token: tokenOf(env, path(env['HF_TOKEN_PATH'] || join(hubHome, 'token'))),
    offline: isTrue(env['HF_HUB_OFFLINE']) || isTrue(env['TRANSFORMERS_OFFLINE']),
  };
}

function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '') {
    throw new HubError('setting', `HF_ENDPOINT = ${text}: expected something like ${ENDPOINT}`);
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

function tokenOf(env: Env, file: string): string | null {
  const given = env['HF_TOKEN'] || env['HUGGING_FACE_HUB_TOKEN'];
  const token = (given || (isTrue(env['HF_HUB_DISABLE_IMPLICIT_TOKEN']) ? '' : fileText(file))).trim();
  if (token === '') return null;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  const source = given ? 'HF_TOKEN' : file;
  throw new HubError('setting', `${source}: a token has no spaces, line breaks or special characters`);
}

function fileText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // nobody has logged in, or not for us to read
  }
}

function isTrue(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? '');
}
