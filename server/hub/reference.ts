// A model's name as people write it → what to look for: OWNER/NAME, with @revision and with :quant or :FILE.gguf, as
// llama.cpp's -hf takes them. Owns that grammar. After it: file-choice.ts and pull.ts.
import { MAIN } from '../../models/files/hub-cache.ts';
import { HubError } from './hub-error.ts';

export interface HubReference {
  readonly id: string; // OWNER/NAME
  readonly revision: string; // branch, tag or commit
  readonly file: string | null; // a quantisation such as Q4_K_M, or the path of a .gguf file; null: what is best
}

const ID = /^[A-Za-z0-9_][\w.-]*\/[A-Za-z0-9_][\w.-]*$/;
const ID_LENGTH_MAX = 96; // each half; source: the hub's own rule
const REVISION = /^[\w][\w./+-]{0,255}$/;
const FILE = /^[^\\:\0]{1,1024}$/;
const SITE = /^(?:https?:\/\/(?:www\.)?huggingface\.co\/|https?:\/\/hf\.co\/|hf\.co\/|huggingface\.co\/)/;

/** Null for what is a path (./x, /x, x/y/z, x.gguf) or a bare name. Throws HubError on a name that is nearly one. */
export function parseReference(text: string): HubReference | null {
  const fromSite = SITE.test(text);
  const shape = /^([^/:@\\]+\/[^/:@\\]+)(?:@([^:]*))?(?::(.*))?$/.exec(
    text.replace(SITE, '').replace(/\/$/, ''),
  );
  if (shape === null) {
    if (fromSite) throw new HubError('name', `${text}: expected OWNER/NAME after the site's name`);
    return null;
  }
  const [, id, revision = MAIN, file = null] = shape;
  const isPath = /^[.~]/.test(id!) || /\.gguf$/i.test(id!);
  if (isPath) return null;
  // Ollama's word for whatever is usual.
  return checked({ id: id!, revision, file: file?.toLowerCase() === 'latest' ? null : file }, text);
}

export function referenceText({ id, revision, file }: HubReference): string {
  return `${id}${revision === MAIN ? '' : `@${revision}`}${file === null ? '' : `:${file}`}`;
}

function checked(reference: HubReference, text: string): HubReference {
  const { id, revision, file } = reference;
  const refuse = (problem: string) => new HubError('name', `${text}: ${problem}`);
  if (
    !ID.test(id) ||
    /--|\.\.|[.-](\/|$)/.test(id) ||
    id.split('/').some((half) => half.length > ID_LENGTH_MAX)
  ) {
    throw refuse('expected OWNER/NAME of letters, digits, "-", "_" and ".", at most 96 each');
  }
  if (!REVISION.test(revision) || /\.\.|\/\/|\/$/.test(revision)) {
    throw refuse('after "@" comes a branch, a tag or a commit');
  }
  if (file !== null && (!FILE.test(file) || /(^|\/)\.{0,2}(\/|$)/.test(file))) {
    throw refuse('after ":" comes a quantisation such as Q4_K_M, or the name of a .gguf file');
  }
  return reference;
}
