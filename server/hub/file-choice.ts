// Which files of a repository make a model that can be served: a directory of safetensors with its settings, or one
// GGUF file, all parts of it. Owns what -hf of llama.cpp taught people to expect of a quantisation's name. Pure; the
// same choice is made of the hub's listing and of a snapshot on disk. After it: pull.ts, cached-model.ts.
import { HubError } from './hub-error.ts';
import { type HubReference, referenceText } from './reference.ts';

export type FileChoice =
  | {
      readonly kind: 'safetensors';
      readonly settings: readonly string[]; // config, tokenizer, template: what is there of them
      readonly weights: readonly string[]; // one file; or its index, which names the shards
      readonly isIndex: boolean;
    }
  | { readonly kind: 'gguf'; readonly parts: readonly string[] }; // in order; the first is what is opened

const SETTINGS: ReadonlySet<string> = new Set([
  ...['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'],
  ...['special_tokens_map.json', 'added_tokens.json', 'vocab.json', 'merges.txt', 'tokenizer.model'],
  ...['chat_template.jinja', 'chat_template.json'],
]);
const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const USUAL_QUANTISATION = 'Q4_K_M';
const NAMED_MAX = 24; // files that a message lists

/** Throws HubError, with what there is, when nothing fits. */
export function chooseFiles(paths: readonly string[], reference: HubReference): FileChoice {
  const models = paths.filter(isModelFile).sort();
  if (reference.file !== null)
    return { kind: 'gguf', parts: partsOf(named(models, reference), models, reference) };
  const root = new Set(paths.filter((path) => !path.includes('/')));
  const weights = root.has(SINGLE) ? SINGLE : root.has(INDEX) ? INDEX : null;
  if (weights !== null && root.has('config.json')) {
    const settings = [...root].filter((path) => SETTINGS.has(path)).sort();
    return { kind: 'safetensors', settings, weights: [weights], isIndex: weights === INDEX };
  }
  if (models.length === 0) throw new HubError('choice', nothingText(paths, reference));
  const first = firstParts(models);
  const usual = first.find((path) => hasQuantisation(path, USUAL_QUANTISATION));
  return { kind: 'gguf', parts: partsOf(usual ?? first[0]!, models, reference) };
}

/** Not a projector, an importance matrix or a draft head, which lie beside models. */
function isModelFile(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  return name.endsWith('.gguf') && !/mmproj|imatrix|^(mtp|eagle3|dflash|dspark)-|-(mtp|eagle3)-/.test(name);
}

function named(models: readonly string[], reference: HubReference): string {
  const asked = reference.file!;
  const first = firstParts(models);
  const found = /\.gguf$/i.test(asked)
    ? (models.find((path) => path === asked) ??
      models.find((path) => path.toLowerCase() === asked.toLowerCase()))
    : first.find((path) => hasQuantisation(path, asked));
  if (found !== undefined) return found;
  const { id } = reference;
  const there = models.length === 0 ? `${id} has no GGUF files` : `it has ${listText(first)}`;
  throw new HubError('choice', `${referenceText(reference)}: no GGUF file has this name; ${there}`);
}

/** The name of a quantisation stands between separators: Q4_K does not mean Q4_K_M, nor Q4_NL IQ4_NL. */
function hasQuantisation(path: string, quantisation: string): boolean {
  const literal = quantisation.replace(/[.*+?^${}()|[\]\\-]/g, '\\$&');
  return new RegExp(`(^|[-._/])${literal}[-./]`, 'i').test(path);
}

const SPLIT = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;

function firstParts(models: readonly string[]): readonly string[] {
  return models.filter((path) => Number(SPLIT.exec(path)?.[2] ?? 1) === 1);
}

function partsOf(path: string, models: readonly string[], reference: HubReference): readonly string[] {
  const split = SPLIT.exec(path);
  if (split === null) return [path];
  const [, prefix, , count] = split;
  const parts = models.filter((other) => {
    const shape = SPLIT.exec(other);
    return shape !== null && shape[1] === prefix && shape[3] === count;
  });
  if (parts.length === Number(count)) return parts;
  throw new HubError(
    'choice',
    `${referenceText(reference)}: ${parts.length} of the ${Number(count)} parts of ${prefix} are there`,
  );
}

function nothingText(paths: readonly string[], reference: HubReference): string {
  const has = (pattern: RegExp) => paths.some((path) => pattern.test(path));
  const text = referenceText(reference);
  if (has(/^adapter_config\.json$/)) {
    return `${text} is an adapter: it needs its base model, and adapters are not served`;
  }
  if (has(/^pytorch_model.*\.bin$|\.(pt|pth|ckpt)$/)) {
    return `${text} has its weights in PyTorch's format only; safetensors or GGUF is needed`;
  }
  if (has(/\.safetensors$/))
    return `${text} has safetensors, but no ${SINGLE} or ${INDEX} beside a config.json`;
  return `${text} has neither safetensors nor GGUF files`;
}

function listText(paths: readonly string[]): string {
  const rest = paths.length > NAMED_MAX ? ` and ${paths.length - NAMED_MAX} more` : '';
  return paths.slice(0, NAMED_MAX).join(', ') + rest;
}
