// A model by name, directory or GGUF file, ready for text: spec, tokenizer, chat template, sampling defaults, fill-in-the-
// middle tokens. Weights stay on disk (checkpoint/checkpoint.ts, graph/build.ts). After it: whoever serves it, or computes with it.
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { readModelSpec } from './checkpoint/checkpoint-config.ts';
import { type AdapterChoice, adaptedName, adapterConfig, baseModelOf } from './checkpoint/lora.ts';
import { loadTokenizer } from './checkpoint/tokenizer-source.ts';
import { type SamplingDefaults, samplingDefaults } from './config/sampling-defaults.ts';
import { insideHubFolder } from './files/hub-cache.ts';
import { CheckpointError, readOptionalJson } from './files/model-file.ts';
import { findGguf } from './gguf/find-gguf.ts';
import { openGguf } from './gguf/gguf-file.ts';
import { GgufMetadata } from './gguf/gguf-metadata.ts';
import { type Advice, ggufAdvice, ggufFimTokens, ggufTemplate } from './gguf/gguf-text.ts';
import { exportSize, isExport } from './onnx/onnx-export.ts';
import type { ModelSpec } from './spec.ts';
import { ChatTemplate } from './template/chat-template.ts';
import { endTokens } from './template/end-tokens.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';
import { weightSize } from './weights/weight-files.ts';

/** Prompt order: prefixId, text before, suffixId, text after, middleId; the model goes on with the middle. */
export interface FimTokens {
  readonly prefixId: number;
  readonly middleId: number;
  readonly suffixId: number;
}

export interface Model {
  readonly name: string; // of the directory; OWNER/NAME of a model in Hugging Face's cache
  readonly path: string; // absolute: a directory, or a GGUF file
  readonly fileFormat: 'gguf' | 'safetensors' | 'onnx'; // onnx: an export, whose graph is served as it is
  readonly fileSize: number; // bytes of its weights
  readonly adapters: readonly AdapterChoice[]; // merged into its weights, in this order
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
 * Loads everything but weights. A name without a slash is an embedded model unless it ends in `.gguf`, anything else a
 * path; a directory with an adapter alone is its base model with it. `now` is the time that a chat template may print (template/chat-template.ts); `adapters` are named, and read with the
 * weights. Throws CheckpointError when there is no such
 * model, or a file of it is bad.
 */
export function loadModel(
  pathOrName: string,
  now: (() => Date) | null = null,
  adapters: readonly AdapterChoice[] = [],
): Model {
  const given = placeOf(pathOrName);
  const own = isAdapter(given) ? given : null;
  const path = own === null ? given : baseOf(own);
  const spec = readModelSpec(path);
  const tokenizer = loadTokenizer(path);
  const gguf = openMetadata(path);
  const strangers = tokenizer.addedFrom(spec.vocabSize);
  if (strangers === null) {
    throw new CheckpointError(`its ids reach ${tokenizer.vocabSize - 1}, the model knows ${spec.vocabSize}`, {
      file: gguf === null ? join(path, 'tokenizer.json') : path,
    });
  }
  const chatTemplate =
    gguf === null ? ChatTemplate.load(path, tokenizer, now) : ggufTemplate(gguf, tokenizer, now);
  const advice = (gguf && ggufAdvice(gguf)) ?? readAdvice(gguf === null ? path : dirname(gguf.path));
  return {
    name: adaptedName(own === null ? spec.name : basename(own), adapters),
    path,
    ...filesOf(path, { gguf: gguf?.path ?? null, spec }),
    adapters: own === null ? adapters : [{ path: own, strength: 1 }, ...adapters],
    spec: {
      ...spec,
      eosTokenIds: endTokens(spec.eosTokenIds, {
        ...{ tokenizer, template: chatTemplate, vocabSize: spec.vocabSize },
        directory: gguf === null ? path : null,
      }),
    },
    tokenizer,
    chatTemplate,
    defaults: advice.defaults,
    warnings: [
      ...advice.ignored.map((field) => `${advice.source}: ${field} is ignored`),
      ...strangers.map((text) => `${text} is above the model's vocabulary: never drawn, refused in prompts`),
    ],
    fim: (gguf && ggufFimTokens(gguf)) ?? findFimTokens(tokenizer),
  };
}

function filesOf(
  path: string,
  { gguf, spec }: { readonly gguf: string | null; readonly spec: ModelSpec },
): Pick<Model, 'fileFormat' | 'fileSize'> {
  if (gguf !== null) return { fileFormat: 'gguf', fileSize: weightSize(gguf) };
  if (!isExport(path)) return { fileFormat: 'safetensors', fileSize: weightSize(path) };
  return { fileFormat: 'onnx', fileSize: exportSize(path, spec) };
}

// Embedded models too large for the npm package, and their names on the hub.
const leftOut: ReadonlyMap<string, string> = new Map([
  ['smollm2-135m-instruct', 'HuggingFaceTB/SmolLM2-135M-Instruct'],
]);

/**
 * Absolute path of a model, a directory or a GGUF file; embedded ones are found by name; of an adapter's directory the
 * base model's. Throws CheckpointError.
 */
export function resolveModel(pathOrName: string): string {
  const path = placeOf(pathOrName);
  return isAdapter(path) ? baseOf(path) : path;
}

function placeOf(pathOrName: string): string {
  const isPath = /[/\\]|\.gguf$/i.test(pathOrName) || pathOrName === '.' || pathOrName === '..';
  if (isPath) return insideHubFolder(resolve(pathOrName));
  const embedded = join(packageRoot(), 'models');
  const names = readdirSync(embedded).filter(
    (name) => isModel(join(embedded, name)) || isAdapter(join(embedded, name)),
  );
  if (names.includes(pathOrName)) return join(embedded, pathOrName);
  const hubId = leftOut.get(pathOrName);
  if (hubId !== undefined) {
    throw new CheckpointError(
      `is in the repository, not in the npm package: sparklane pull ${hubId} fetches it, --model ${hubId} serves it, and --model spark-nano is here`,
      { file: pathOrName },
    );
  }
  throw new CheckpointError(
    `no embedded model has this name (there are: ${names.join(', ')}); a directory needs a slash, as in ./${pathOrName}`,
    { file: pathOrName },
  );
}

function isModel(directory: string): boolean {
  return existsSync(join(directory, 'config.json')) || findGguf(directory) !== null;
}

function isAdapter(directory: string): boolean {
  return existsSync(join(directory, adapterConfig)) && !isModel(directory);
}

/** A path from the adapter's directory on, or an embedded model by its name on the hub. */
function baseOf(directory: string): string {
  const base = baseModelOf(directory);
  const embedded = [...leftOut].find(([, hubId]) => hubId === base)?.[0];
  const places = [
    resolve(directory, base),
    ...(embedded === undefined ? [] : [join(packageRoot(), 'models', embedded)]),
  ];
  const found = places.find(isModel);
  if (found !== undefined) return found;
  throw new CheckpointError(
    `its base model ${base} is not here: --model BASE --lora ${directory} names another place`,
    {
      ...{ file: join(directory, adapterConfig), field: 'base_model_name_or_path' },
    },
  );
}

function openMetadata(path: string): GgufMetadata | null {
  const file = findGguf(path);
  return file === null ? null : new GgufMetadata(openGguf(file));
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

/** generation_config.json has the author's advice; it may lie beside a GGUF file too. */
function readAdvice(directory: string): Advice {
  const source = 'generation_config.json';
  return { source, ...samplingDefaults(readOptionalJson(join(directory, source), z.looseObject({})) ?? {}) };
}

function findFimTokens(tokenizer: Tokenizer): FimTokens | null {
  for (const spellings of fimSpellings) {
    const [prefixId, middleId, suffixId] = spellings.map((text) => tokenizer.specialTokenId(text));
    if (prefixId != null && middleId != null && suffixId != null) return { prefixId, middleId, suffixId };
  }
  return null;
}
