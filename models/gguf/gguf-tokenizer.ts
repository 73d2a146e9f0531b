// The tokenizer that a GGUF file describes, in the terms of tokenizer.json: byte-level BPE ('gpt2') with the splits that
// its pre-tokenizer's name stands for. Before it: gguf-file.ts; after it: tokenizer.ts.
import type { AddedToken } from '../added-tokens.ts';
import { compileNormalizer } from '../text-normalizer.ts';
import { compileSplitter } from '../text-splitter.ts';
import { byteSpelling } from '../token-spelling.ts';
import type { TokenizerFile } from '../tokenizer-file.ts';
import type { GgufFile } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';
import { preTokenizer } from './pre-tokenizers.ts';

// Source: enum llama_token_type. 1 is an ordinary token, 5 an id that means nothing.
const controlKind = 3;
const userDefinedKind = 4;
const unusedKind = 5;

const plainly = { normalized: false, takesLeft: false, takesRight: false, wholeWord: false };

/** Throws CheckpointError with the key. */
export function ggufTokenizer(gguf: Pick<GgufFile, 'path' | 'metadata'>): TokenizerFile {
  const metadata = new GgufMetadata(gguf);
  const key = (name: string) => `tokenizer.ggml.${name}`;
  const model = metadata.need(key('model'), metadata.text(key('model')));
  if (model !== 'gpt2') throw metadata.refuse(key('model'), `${model} is not supported (only gpt2)`);
  const tokens = metadata.need(key('tokens'), metadata.strings(key('tokens')));
  const kinds = metadata.numbers(key('token_type')) ?? [];
  const vocab = new Map<string, number>();
  const addedTokens: AddedToken[] = [];
  for (const [id, text] of tokens.entries()) {
    const kind = kinds[id];
    if (kind === controlKind || kind === userDefinedKind) {
      addedTokens.push({ id, text, special: kind === controlKind, ...plainly });
    } else if (kind !== unusedKind) vocab.set(text, id);
  }
  const bos = metadata.count(key('bos_token_id'));
  const addsBos = metadata.flag(key('add_bos_token')) ?? false;
  return {
    path: gguf.path,
    addedTokens,
    vocab,
    model: {
      kind: 'bpe',
      merges: mergesOf(metadata, key('merges')),
      ranks: null,
      ignoreMerges: false,
      ...{ toBytes: false, fuses: false, unknownId: null },
    },
    normalize: compileNormalizer(null, { file: gguf.path, field: key('pre') }),
    splitter: compileSplitter(preTokenizer(metadata, key('pre')), { file: gguf.path, field: key('pre') }),
    spelling: byteSpelling(),
    startIds: addsBos && bos !== null ? [bos] : [],
  };
}

function mergesOf(metadata: GgufMetadata, key: string): readonly (readonly [string, string])[] {
  return metadata.need(key, metadata.strings(key)).map((merge) => {
    const gap = merge.indexOf(' ', 1); // tokens hold no space: it has a stand-in
    if (gap < 1 || gap === merge.length - 1) {
      throw metadata.refuse(key, `${JSON.stringify(merge).slice(0, 80)} is not two tokens`);
    }
    return [merge.slice(0, gap), merge.slice(gap + 1)];
  });
}
