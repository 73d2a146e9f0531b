// A model as what makes vectors of texts: an encoder, or a decoder by the states of its tokens. Tokenizer, pooling, sizes;
// weights stay on disk. Before it: a path; after it: server/embeddings and server/device.

import { loadTokenizer } from './checkpoint/tokenizer-source.ts';
import { readEncoderSpec } from './encoder/encoder-config.ts';
import { type Pooling, type PoolingMode, pooledSize, readPooling } from './encoder/pooling.ts';
import { CheckpointError } from './files/model-file.ts';
import { findGguf } from './gguf/find-gguf.ts';
import { openGguf } from './gguf/gguf-file.ts';
import { GgufMetadata } from './gguf/gguf-metadata.ts';
import type { Model } from './model.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

export interface EmbeddingModel {
  readonly name: string;
  readonly path: string;
  readonly kind: 'encoder' | 'decoder';
  readonly tokenizer: Pick<Tokenizer, 'encode' | 'startIds' | 'endIds'>;
  readonly pooling: Pooling;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly dimensions: number; // of a vector
  readonly tokensMax: number; // of a text, start and end included
}

/** Throws CheckpointError. */
export function loadEncoderModel(path: string): EmbeddingModel {
  const spec = readEncoderSpec(path);
  const tokenizer = loadTokenizer(path);
  if (tokenizer.addedFrom(spec.vocabSize) === null) {
    const problem = `its ids reach ${tokenizer.vocabSize - 1}, the model knows ${spec.vocabSize}`;
    throw new CheckpointError(problem, { file: path, field: 'tokenizer.json' });
  }
  const pooling = readPooling(path);
  const { name, vocabSize, hiddenSize, contextLength } = spec;
  return {
    ...{ name, path, kind: 'encoder', tokenizer, pooling, vocabSize, hiddenSize },
    dimensions: pooledSize(pooling, hiddenSize),
    tokensMax: Math.min(contextLength, pooling.textTokensMax ?? contextLength),
  };
}

/** `contextTokens`: that are served. Throws CheckpointError where its pooling is not known. */
export function embeddingModelOf(model: Model, contextTokens: number): EmbeddingModel {
  const { name, path, tokenizer, spec } = model;
  const pooling = decoderPooling(path);
  return {
    ...{ name, path, kind: 'decoder', tokenizer, pooling },
    ...{ vocabSize: spec.vocabSize, hiddenSize: spec.hiddenSize },
    dimensions: pooledSize(pooling, spec.hiddenSize),
    tokensMax: Math.min(contextTokens, pooling.textTokensMax ?? contextTokens),
  };
}

// By llama.cpp's numbers: none, mean, cls, last, rank.
const ggufModes: readonly (PoolingMode | null)[] = ['mean', 'mean', 'cls', 'last', null];

function decoderPooling(path: string): Pooling {
  const gguf = findGguf(path);
  if (gguf === null) return readPooling(path);
  const metadata = new GgufMetadata(openGguf(gguf));
  const key = `${metadata.text('general.architecture')}.pooling_type`;
  const kind = metadata.count(key) ?? 0;
  const mode = ggufModes[kind] ?? null;
  if (mode === null) throw metadata.refuse(key, `${kind} is not supported (only 0 to 3)`);
  return { modes: [mode], dense: [], isNormalised: true, textTokensMax: null, lowersCase: false };
}
