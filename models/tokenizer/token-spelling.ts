// What a token of the vocabulary stands for, in bytes. Owns the decoders of tokenizer.json that do this token by token:
// GPT-2's stand-ins for bytes, and SentencePiece's (a mark for the space, <0x0A> for a byte). Before it:
// tokenizer-file.ts; after it: tokenizer.ts, which lays out all tokens' bytes.

import { CheckpointError } from '../files/model-file.ts';
import { characterBytes } from './byte-level.ts';
import { type Place, parseSteps, stringField, type TokenizerStep } from './tokenizer-step.ts';

export interface TokenSpelling {
  readonly bytesOf: (token: string) => Uint8Array;
  readonly strippedSpaces: number; // how many a whole text loses at its beginning: encoding put them there
}

const byteToken = /^<0x([0-9A-Fa-f]{2})>$/;

/** Throws CheckpointError for a decoder that cannot be done token by token. */
export function tokenSpelling(
  decoder: TokenizerStep | null,
  alphabet: 'bytes' | 'characters',
  place: Place,
): TokenSpelling {
  if (alphabet === 'bytes') {
    if (decoder?.type === 'ByteLevel') return byteSpelling();
    throw refused(`${decoder?.type} is not supported (only ByteLevel, for a ByteLevel pre-tokeniser)`, place);
  }
  if (decoder === null) throw refused('is missing', { file: place.file, field: place.field });
  if (decoder.type === 'WordPiece') return wordPieceSpelling(decoder, place);
  const isSequence = decoder.type === 'Sequence';
  const steps = isSequence
    ? parseSteps(decoder['decoders'], { ...place, field: `${place.field}.decoders` })
    : [decoder];
  return characterSpelling(
    steps.map((step, index) => ({
      step,
      place: isSequence ? { ...place, field: `${place.field}.decoders.${index}` } : place,
    })),
  );
}

/** Of GPT-2's stand-ins. A token that is not written in them was put into the vocabulary as text. */
export function byteSpelling(): TokenSpelling {
  const byteOf = characterBytes();
  const utf8 = new TextEncoder();
  return { bytesOf: (token) => standInBytes(token, byteOf) ?? utf8.encode(token), strippedSpaces: 0 };
}

/** Of SentencePiece: the mark is a space, <0x0A> a byte. */
export function sentencePieceSpelling(strippedSpaces: number): TokenSpelling {
  const utf8 = new TextEncoder();
  return {
    strippedSpaces,
    bytesOf: (token) => {
      const byte = byteToken.exec(token);
      return byte ? Uint8Array.of(Number.parseInt(byte[1]!, 16)) : utf8.encode(token.replaceAll('▁', ' '));
    },
  };
}

/** A token begins a word unless its prefix says that it goes on with one. */
function wordPieceSpelling(step: TokenizerStep, place: Place): TokenSpelling {
  const prefix = stringField({ prefix: '##', ...step }, 'prefix', place);
  const utf8 = new TextEncoder();
  return {
    strippedSpaces: 1,
    bytesOf: (token) => utf8.encode(token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`),
  };
}

function characterSpelling(steps: readonly { step: TokenizerStep; place: Place }[]): TokenSpelling {
  const utf8 = new TextEncoder();
  const replacements: [string, string][] = [];
  let readsBytes = false;
  let strippedSpaces = 0;
  for (const { step, place } of steps) {
    if (step.type === 'Replace') {
      replacements.push([plainPattern(step, place), stringField(step, 'content', place)]);
    } else if (step.type === 'Metaspace') {
      replacements.push([stringField({ replacement: '▁', ...step }, 'replacement', place), ' ']);
      const scheme = step['prepend_scheme'] ?? (step['add_prefix_space'] === false ? 'never' : 'always');
      if (scheme !== 'never') strippedSpaces = 1;
    } else if (step.type === 'ByteFallback') readsBytes = true;
    else if (step.type === 'Strip') strippedSpaces = strippedAtStart(step, place);
    else if (step.type !== 'Fuse') throw refused(`${step.type} is not supported`, place);
  }
  return {
    strippedSpaces,
    bytesOf: (token) => {
      const byte = readsBytes ? byteToken.exec(token) : null;
      if (byte) return Uint8Array.of(Number.parseInt(byte[1]!, 16));
      return utf8.encode(replacements.reduce((text, [from, to]) => text.replaceAll(from, () => to), token));
    },
  };
}

function plainPattern(step: TokenizerStep, place: Place): string {
  const pattern = step['pattern'];
  if (typeof pattern === 'object' && pattern !== null && 'String' in pattern) {
    if (typeof pattern.String === 'string' && pattern.String !== '') return pattern.String;
  }
  const field = `${place.field}.pattern`;
  throw new CheckpointError('only { String } is supported', { file: place.file, field });
}

function strippedAtStart(step: TokenizerStep, place: Place): number {
  const { content, start, stop } = step;
  if (content === ' ' && stop === 0 && typeof start === 'number') return start;
  throw refused('Strip is supported for spaces at the start only', place);
}

function refused(problem: string, { file, field }: Place): CheckpointError {
  return new CheckpointError(problem, { file, field: `${field}.type` });
}

function standInBytes(token: string, byteOf: ReadonlyMap<string, number>): Uint8Array | null {
  const bytes = new Uint8Array(token.length); // every stand-in is one UTF-16 unit
  for (let i = 0; i < token.length; i++) {
    const byte = byteOf.get(token[i]!);
    if (byte === undefined) return null;
    bytes[i] = byte;
  }
  return bytes;
}
