// The tokenizer that a GGUF file describes, in the terms of tokenizer.json: byte-level BPE ('gpt2') with the steps that
// its pre-tokenizer's name stands for, or SentencePiece's BPE ('llama') with scores in place of merges. Before it:
// gguf-file.ts; after it: tokenizer/tokenizer.ts.
import type { AddedToken } from '../tokenizer/added-tokens.ts';
import { compileNormalizer } from '../tokenizer/text-normalizer.ts';
import { compileSplitter } from '../tokenizer/text-splitter.ts';
import { byteSpelling, sentencePieceSpelling } from '../tokenizer/token-spelling.ts';
import type { BpeModel, TokenizerFile } from '../tokenizer/tokenizer-file.ts';
import type { TokenizerStep } from '../tokenizer/tokenizer-step.ts';
import type { GgufFile } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';
import { type PreTokenizer, preTokenizers } from './pre-tokenizers.ts';

// Source: enum llama_token_type. 1 is an ordinary token, 5 an id that means nothing.
const kinds = { unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const plainly = { normalized: false, takesLeft: false, takesRight: false, wholeWord: false };
const key = (name: string) => `tokenizer.ggml.${name}`;

/** Throws CheckpointError with the key. */
export function ggufTokenizer(gguf: Pick<GgufFile, 'path' | 'metadata'>): TokenizerFile {
  const metadata = new GgufMetadata(gguf);
  const model = metadata.need(key('model'), metadata.text(key('model')));
  if (model === 'gpt2') return byteLevel(metadata);
  if (model === 'llama') return sentencePiece(metadata);
  throw metadata.refuse(key('model'), `${model} is not supported (only gpt2, llama)`);
}

function byteLevel(metadata: GgufMetadata): TokenizerFile {
  const pre = preTokenizerOf(metadata);
  const { vocab, addedTokens } = readTokens(metadata, false);
  const place = { file: metadata.path, field: key('pre') };
  return {
    path: metadata.path,
    addedTokens,
    vocab,
    model: {
      kind: 'bpe',
      merges: mergesOf(metadata, key('merges')),
      ranks: null,
      ignoreMerges: pre.ignoresMerges ?? false,
      ...{ toBytes: false, fuses: false, unknownId: null },
    },
    normalize: compileNormalizer(pre.normalizer ?? null, place),
    splitter: compileSplitter({ type: 'Sequence', pretokenizers: pre.steps }, place),
    spelling: byteSpelling(),
    startIds: startIds(metadata, pre.beginsWithBos ?? false),
    endIds: endIds(metadata),
  };
}

function preTokenizerOf(metadata: GgufMetadata): PreTokenizer {
  const name = metadata.text(key('pre')) ?? 'default';
  const found = preTokenizers.get(name);
  if (found !== undefined) return found;
  throw metadata.refuse(
    key('pre'),
    `${name} is not supported (only ${[...preTokenizers.keys()].join(', ')})`,
  );
}

/** The text's spaces become marks, one before each stretch of text if the file says so, and the best score merges first. */
function sentencePiece(metadata: GgufMetadata): TokenizerFile {
  const { vocab, addedTokens, kindOf, tokens } = readTokens(metadata, true);
  const place = { file: metadata.path, field: key('model') };
  const addsSpace = metadata.flag(key('add_space_prefix')) ?? true;
  const prepend: TokenizerStep = { type: 'Prepend', prepend: '▁' };
  const mark: TokenizerStep = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const unknown = tokens.findIndex((_, id) => kindOf(id) === kinds.unknown);
  const scores = metadata.need(key('scores'), metadata.numbers(key('scores')));
  return {
    path: metadata.path,
    addedTokens,
    vocab,
    model: {
      ...mergesByScore(vocab, (id) => (kindOf(id) === kinds.byte ? null : (scores[id] ?? 0))),
      ...{ kind: 'bpe', ignoreMerges: false, toBytes: true, fuses: true },
      unknownId: metadata.count(key('unknown_token_id')) ?? (unknown < 0 ? null : unknown),
    },
    normalize: compileNormalizer(
      { type: 'Sequence', normalizers: addsSpace ? [prepend, mark] : [mark] },
      place,
    ),
    splitter: compileSplitter(null, place),
    spelling: sentencePieceSpelling(addsSpace ? 1 : 0),
    startIds: startIds(metadata, true),
    endIds: endIds(metadata),
  };
}

/** `mergesInto` says whether merges may make a token that is also looked for in the text. */
function readTokens(metadata: GgufMetadata, mergesInto: boolean) {
  const tokens = metadata.need(key('tokens'), metadata.strings(key('tokens')));
  const given = metadata.numbers(key('token_type')) ?? [];
  const kindOf = (id: number) => given[id];
  const vocab = new Map<string, number>();
  const addedTokens: AddedToken[] = [];
  for (const [id, text] of tokens.entries()) {
    const kind = kindOf(id);
    const isSpecial = kind === kinds.control || kind === kinds.unknown;
    if ((isSpecial || kind === kinds.userDefined) && text !== '') {
      addedTokens.push({ id, text, special: isSpecial, ...plainly });
      if (isSpecial || !mergesInto) continue;
    }
    if (kind !== kinds.unused && !vocab.has(text)) vocab.set(text, id);
  }
  return { tokens, kindOf, vocab, addedTokens };
}

/**
 * SentencePiece joins any two neighbours that together are a token, the best score first: every way to cut a token in
 * two tokens is a merge, and tokens of one score rank alike. `scoreOf` gives null for what no merge makes.
 */
function mergesByScore(
  vocab: ReadonlyMap<string, number>,
  scoreOf: (id: number) => number | null,
): Pick<BpeModel, 'merges' | 'ranks'> {
  const merges: (readonly [string, string])[] = [];
  const scores: number[] = [];
  for (const [token, id] of vocab) {
    const score = scoreOf(id);
    if (score === null) continue;
    for (let at = 1; at < token.length; at++) {
      const [left, right] = [token.slice(0, at), token.slice(at)];
      if (!vocab.has(left) || !vocab.has(right)) continue;
      merges.push([left, right]);
      scores.push(score);
    }
  }
  const distinct = [...new Set(scores)].sort((a, b) => b - a);
  const rankOf = new Map(distinct.map((score, rank) => [score, rank]));
  return { merges, ranks: Int32Array.from(scores, (score) => rankOf.get(score)!) };
}

function startIds(metadata: GgufMetadata, byDefault: boolean): readonly number[] {
  const bos = metadata.count(key('bos_token_id'));
  const addsBos = metadata.flag(key('add_bos_token')) ?? byDefault;
  return addsBos && bos !== null ? [bos] : [];
}

function endIds(metadata: GgufMetadata): readonly number[] {
  const eos = metadata.count(key('eos_token_id'));
  return (metadata.flag(key('add_eos_token')) ?? false) && eos !== null ? [eos] : [];
}

function mergesOf(metadata: GgufMetadata, field: string): readonly (readonly [string, string])[] {
  return metadata.need(field, metadata.strings(field)).map((merge) => {
    const gap = merge.indexOf(' ', 1); // tokens hold no space: it has a stand-in
    if (gap < 1 || gap === merge.length - 1) {
      throw metadata.refuse(field, `${JSON.stringify(merge).slice(0, 80)} is not two tokens`);
    }
    return [merge.slice(0, gap), merge.slice(gap + 1)];
  });
}
