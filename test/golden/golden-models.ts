// Finds the reference outputs of Hugging Face transformers: small models of random weights travel with the repository;
// those of spark-nano's first weights lie in ../shared/data/golden, and are skipped with the reason where they do not.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface GoldenModel {
  readonly name: string;
  readonly directory: string; // a complete model directory
  readonly cases: readonly GoldenCase[];
}

export interface GoldenCase {
  readonly input_ids: readonly number[];
  readonly last_logits: readonly number[]; // [vocab] after the last prompt token
  readonly greedy: readonly number[]; // 24 ids
}

/** Of spark-nano; only comparable to the weights that `weights_sha256` names. */
export interface SparkNanoGolden {
  readonly weights_sha256: string;
  readonly tokenizer: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly cases: readonly {
    readonly prompt: string;
    readonly input_ids: readonly number[];
    readonly greedy: readonly number[];
    readonly top8: readonly (readonly [id: number, logit: number])[];
    readonly greedy_margin: readonly number[]; // between the best and the second-best logit, per step
  }[];
}

const root = resolve(import.meta.dirname, '../..');
const shared = resolve(root, '../shared/data/golden');
const names = ['qwen2-tied', 'llama-gqa', 'llama3-rope'];

/** The models that travel with the repository. */
export function goldenModels(): GoldenModel[] {
  return names.map((name) => {
    const directory = join(import.meta.dirname, 'models', name);
    const { cases } = readJson(join(directory, 'golden.json')) as { cases: GoldenCase[] };
    return { name, directory, cases };
  });
}

/**
 * The directory whose weights the golden outputs were made with: the embedded model's, or those of its first training.
 * Null, with the reason printed, when there is none.
 */
export function sparkNanoGolden(): { directory: string; golden: SparkNanoGolden } | null {
  const file = join(shared, 'spark-nano/golden.json');
  if (!existsSync(file)) {
    console.info('skipped: ../shared/data/golden/spark-nano is absent');
    return null;
  }
  const golden = readJson(file) as SparkNanoGolden;
  const candidates = [join(root, 'models/spark-nano'), resolve(root, '../shared/models/spark-nano')];
  const directory = candidates.find((candidate) => weightsHash(candidate) === golden.weights_sha256);
  if (directory === undefined) {
    console.info('skipped: the golden outputs of spark-nano belong to other weights');
    return null;
  }
  return { directory, golden };
}

function weightsHash(directory: string): string | null {
  const file = join(directory, 'model.safetensors');
  return existsSync(file) ? createHash('sha256').update(readFileSync(file)).digest('hex') : null;
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}
