// The pre-tokeniser of a tokenizer.json: text → the pieces that are made tokens one by one. Owns the steps' meanings,
// which are those of Hugging Face tokenizers; a step that is not here is refused with its field's name. Before it:
// tokenizer-file.ts; after it: tokenizer.ts.
import { CheckpointError } from '../files/model-file.ts';
import {
  compileSplitPattern,
  type Place,
  parseSteps,
  stringField,
  type TokenizerStep,
} from './tokenizer-step.ts';

/** Cuts one piece further. `atStart`: it begins where the text that was given begins. */
type Cut = (piece: string, atStart: boolean) => readonly string[];

export interface TextSplitter {
  /** Not empty, in order; together the text, but for what the steps remove or add. */
  readonly split: Cut;
  /** What tokens are written in: GPT-2's stand-ins for bytes, or the characters themselves. */
  readonly alphabet: 'bytes' | 'characters';
}

type Behavior = 'Removed' | 'Isolated' | 'Contiguous' | 'MergedWithPrevious' | 'MergedWithNext';
const behaviors: readonly string[] = [
  'Removed',
  'Isolated',
  'Contiguous',
  'MergedWithPrevious',
  'MergedWithNext',
];

// What ByteLevel cuts by itself; source: GPT-2's encoder, kept by Hugging Face tokenizers.
const gpt2Words =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const spaces = /\p{White_Space}+/gu;
// \w as Rust's regular expressions have it.
const words =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;
const digit = /\p{N}/gu;
const digits = /\p{N}+/gu;
const punctuation = /[\p{P}$+<=>^`|~]/gu;

/** Null leaves the text whole. Throws CheckpointError. */
export function compileSplitter(step: TokenizerStep | null, place: Place): TextSplitter {
  const steps = flatten(step, place);
  const bytesAt = steps.findIndex((entry) => entry.step.type === 'ByteLevel');
  if (bytesAt >= 0 && bytesAt < steps.length - 1) {
    // Later steps would see the stand-ins of bytes.
    throw new CheckpointError('must be the last step', {
      file: place.file,
      field: `${steps[bytesAt]!.place.field}.type`,
    });
  }
  const cuts = steps.map((entry) => compileStep(entry.step, entry.place));
  return { split: chain(cuts), alphabet: bytesAt < 0 ? 'characters' : 'bytes' };
}

function flatten(step: TokenizerStep | null, place: Place): { step: TokenizerStep; place: Place }[] {
  if (step === null) return [];
  if (step.type !== 'Sequence') return [{ step, place }];
  const field = `${place.field}.pretokenizers`;
  return parseSteps(step['pretokenizers'], { ...place, field }).flatMap((part, index) =>
    flatten(part, { ...place, field: `${field}.${index}` }),
  );
}

function chain(cuts: readonly Cut[]): Cut {
  if (cuts.length === 0) return (text) => (text === '' ? [] : [text]);
  if (cuts.length === 1) return cuts[0]!;
  return (text, atStart) => {
    let pieces: readonly string[] = [text];
    for (const cut of cuts) pieces = pieces.flatMap((piece, index) => cut(piece, atStart && index === 0));
    return pieces;
  };
}

function compileStep(step: TokenizerStep, place: Place): Cut {
  switch (step.type) {
    case 'Split':
      return splitBy(compileSplitPattern(step['pattern'], { ...place, field: `${place.field}.pattern` }), {
        behavior: behaviorOf(step, place),
        inverted: step['invert'] === true,
      });
    case 'ByteLevel': {
      const cut: Cut = step['use_regex'] === false ? chain([]) : splitBy(gpt2Words);
      if (step['add_prefix_space'] !== true) return cut;
      return (piece, atStart) => cut(piece.startsWith(' ') ? piece : ` ${piece}`, atStart);
    }
    case 'Digits':
      return splitBy(step['individual_digits'] === true ? digit : digits);
    case 'Punctuation':
      return splitBy(punctuation, { behavior: behaviorOf(step, place) });
    case 'Whitespace':
      return splitBy(words, { behavior: 'Removed', inverted: true });
    case 'WhitespaceSplit':
      return splitBy(spaces, { behavior: 'Removed' });
    case 'CharDelimiterSplit':
      return splitBy(
        compileSplitPattern(
          { String: stringField(step, 'delimiter', place) },
          { ...place, field: `${place.field}.delimiter` },
        ),
        { behavior: 'Removed' },
      );
    case 'BertPreTokenizer':
      return chain([splitBy(spaces, { behavior: 'Removed' }), splitBy(punctuation)]);
    case 'Metaspace':
      return metaspace(step, place);
    default:
      throw new CheckpointError(`${step.type} is not supported`, {
        file: place.file,
        field: `${place.field}.type`,
      });
  }
}

function behaviorOf(step: TokenizerStep, place: Place): Behavior {
  const behavior = step['behavior'] ?? 'Isolated';
  if (typeof behavior === 'string' && behaviors.includes(behavior)) return behavior as Behavior;
  throw new CheckpointError(`${JSON.stringify(behavior)} is not one of ${behaviors.join(', ')}`, {
    file: place.file,
    field: `${place.field}.behavior`,
  });
}

/** Spaces become a visible character; a piece begins with it if the scheme says so, and pieces begin at it. */
function metaspace(step: TokenizerStep, place: Place): Cut {
  const mark = stringField({ replacement: '▁', ...step }, 'replacement', place);
  const scheme = step['prepend_scheme'] ?? (step['add_prefix_space'] === false ? 'never' : 'always');
  if (scheme !== 'always' && scheme !== 'first' && scheme !== 'never') {
    throw new CheckpointError(`${JSON.stringify(scheme)} is not one of always, first, never`, {
      file: place.file,
      field: `${place.field}.prepend_scheme`,
    });
  }
  const pattern = compileSplitPattern({ String: mark }, { ...place, field: `${place.field}.replacement` });
  const cut = step['split'] === false ? chain([]) : splitBy(pattern, { behavior: 'MergedWithNext' });
  return (piece, atStart) => {
    const marked = piece.replaceAll(' ', mark);
    const opens = scheme === 'always' || (scheme === 'first' && atStart);
    return cut(opens && marked !== '' && !marked.startsWith(mark) ? mark + marked : marked, atStart);
  };
}

interface Part {
  readonly start: number;
  end: number;
  readonly isMatch: boolean;
}

/** Cuts at the matches of a global expression. `inverted` swaps matches and what lies between them. */
function splitBy(
  pattern: RegExp,
  { behavior = 'Isolated', inverted = false }: { behavior?: Behavior; inverted?: boolean } = {},
): Cut {
  return (text) => {
    if (behavior === 'Isolated' || (behavior === 'Removed' && inverted)) {
      const matches = text.match(pattern) ?? [];
      let covered = 0;
      for (const match of matches) covered += match.length;
      // Most patterns cover the text: nothing has to know where a match lies.
      if (covered === text.length || behavior === 'Removed') return matches.filter((match) => match !== '');
    }
    const parts = partsOf(text, pattern);
    const kept = inverted ? parts.map((part) => ({ ...part, isMatch: !part.isMatch })) : parts;
    return join(kept, behavior).map(({ start, end }) => text.slice(start, end));
  };
}

/** Matches and gaps by turns, none of them empty. */
function partsOf(text: string, pattern: RegExp): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (match[0] === '') continue;
    if (match.index > at) parts.push({ start: at, end: match.index, isMatch: false });
    at = match.index + match[0].length;
    parts.push({ start: match.index, end: at, isMatch: true });
  }
  if (at < text.length) parts.push({ start: at, end: text.length, isMatch: false });
  return parts;
}

function join(parts: readonly Part[], behavior: Behavior): readonly Part[] {
  if (behavior === 'Isolated') return parts;
  if (behavior === 'Removed') return parts.filter((part) => !part.isMatch);
  const joined: Part[] = [];
  for (const [index, part] of parts.entries()) {
    const before = parts[index - 1];
    const joins =
      before !== undefined &&
      (behavior === 'Contiguous'
        ? part.isMatch === before.isMatch
        : behavior === 'MergedWithPrevious'
          ? part.isMatch && !before.isMatch
          : before.isMatch && !part.isMatch);
    if (joins) joined.at(-1)!.end = part.end;
    else joined.push({ ...part });
  }
  return joined;
}
