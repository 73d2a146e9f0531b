// A model by name or directory, ready for text: spec, tokenizer, chat template, sampling defaults, fill-in-the-
// middle tokens. Weights stay on disk (checkpoint.ts, graph/build.ts). After it: server/main.ts hands it around.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ChatTemplate } from './chat-template.ts';
import { readModelSpec } from './checkpoint-config.ts';
import { insideHubFolder } from './hub-cache.ts';
import { CheckpointError, readOptionalJson } from './model-file.ts';
import { type SamplingDefaults, samplingDefaults } from './sampling-defaults.ts';
import type { ModelSpec } from './spec.ts';
import { Tokenizer } from './tokenizer.ts';

/** Prompt order: prefixId, text before, suffixId, text after, middleId; the model goes on with the middle. */
export interface FimTokens {
  readonly prefixId: number;
  readonly middleId: number;
  readonly suffixId: number;
}

export interface Model {
  readonly name: string; // of the directory; OWNER/NAME of a model in Hugging Face's cache
  readonly directory: string; // absolute
  readonly spec: ModelSpec;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | null;
  readonly defaults: SamplingDefaults;
  readonly fim: FimTokens | null;
  readonly warnings: readonly string[]; // what of its files is not used, and why
}

// [prefix, middle, suffix] as the families write them.
const fimSpellings = [
  ['<|fim_prefix|>', '<|fim_middle|>', '<|fim_suffix|>'], // Qwen2.5-Coder, spark-nano
  ['<fim_prefix>', '<fim_middle>', '<fim_suffix>'], // StarCoder, Granite Code
  ['<｜fim▁begin｜>', '<｜fim▁end｜>', '<｜fim▁hole｜>'], // DeepSeek-Coder: its hole stands between the texts
] as const;

/**
 * Loads everything but weights. A name without a slash is an embedded model, anything else a directory. Throws
 * CheckpointError when there is no such model, or a file of it is bad.
 */
export function loadModel(directoryOrName: string): Model {
  const directory = resolveModel(directoryOrName);
  const spec = readModelSpec(directory);
  const tokenizer = Tokenizer.load(directory);
  if (tokenizer.vocabSize > spec.vocabSize) {
    throw new CheckpointError(`its ids reach ${tokenizer.vocabSize - 1}, the model knows ${spec.vocabSize}`, {
      file: join(directory, 'tokenizer.json'),
    });
  }
  const advice = readDefaults(directory);
  return {
    name: spec.name,
    directory,
    spec,
    tokenizer,
    chatTemplate: ChatTemplate.load(directory, tokenizer),
    defaults: advice.defaults,
    warnings: advice.ignored.map((field) => `generation_config.json: ${field} is ignored`),
    fim: findFimTokens(tokenizer),
  };
}

/** Absolute directory of a model; embedded ones are found by name. Throws CheckpointError. */
export function resolveModel(directoryOrName: string): string {
  if (/[/\\]/.test(directoryOrName) || directoryOrName === '.' || directoryOrName === '..') {
    return insideHubFolder(resolve(directoryOrName));
  }
  const embedded = join(packageRoot(), 'models');
  const names = readdirSync(embedded).filter((name) => existsSync(join(embedded, name, 'config.json')));
  if (names.includes(directoryOrName)) return join(embedded, directoryOrName);
  throw new CheckpointError(
    `no embedded model has this name (there are: ${names.join(', ')}); a directory needs a slash, as in ./${directoryOrName}`,
    { file: directoryOrName },
  );
}

/** The same from source (models/model.ts) and from what tsc emitted (dist/models/model.js). */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory) throw new CheckpointError('lies in no package', { file: import.meta.url });
    directory = parent;
  }
  return directory;
}

/** generation_config.json has the author's advice. */
function readDefaults(directory: string): ReturnType<typeof samplingDefaults> {
  return samplingDefaults(
    readOptionalJson(join(directory, 'generation_config.json'), z.looseObject({})) ?? {},
  );
}

function findFimTokens(tokenizer: Tokenizer): FimTokens | null {
  for (const spellings of fimSpellings) {
    const [prefixId, middleId, suffixId] = spellings.map((text) => tokenizer.specialTokenId(text));
    if (prefixId != null && middleId != null && suffixId != null) return { prefixId, middleId, suffixId };
  }
  return null;
}
