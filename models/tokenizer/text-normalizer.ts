// The normaliser of a tokenizer.json as one function over text. Owns the steps' meanings, which are those of Hugging
// Face tokenizers; a step that is not here is refused with its field's name. Before it: tokenizer-file.ts; after it:
// tokenizer.ts.

import { CheckpointError } from '../files/model-file.ts';
import { bertNormalizer, lowered } from './bert-normalizer.ts';
import {
  compileSplitPattern,
  type Place,
  parseSteps,
  stringField,
  type TokenizerStep,
} from './tokenizer-step.ts';

export type Normalize = (text: string) => string;

const unicodeForms = ['NFC', 'NFD', 'NFKC', 'NFKD'] as const;

/** Null gives text back as it is. Throws CheckpointError. */
export function compileNormalizer(step: TokenizerStep | null, place: Place): Normalize {
  if (step === null) return (text) => text;
  const form = unicodeForms.find((name) => name === step.type);
  if (form) return (text) => text.normalize(form);
  switch (step.type) {
    case 'Sequence': {
      const field = `${place.field}.normalizers`;
      const inner = parseSteps(step['normalizers'], { ...place, field }).map((part, index) =>
        compileNormalizer(part, { ...place, field: `${field}.${index}` }),
      );
      return (text) => inner.reduce((changed, normalize) => normalize(changed), text);
    }
    case 'Prepend': {
      const prefix = stringField(step, 'prepend', place);
      return (text) => (text === '' ? '' : prefix + text);
    }
    case 'Replace': {
      const pattern = compileSplitPattern(step['pattern'], { ...place, field: `${place.field}.pattern` });
      const content = stringField(step, 'content', place);
      return (text) => text.replace(pattern, () => content);
    }
    case 'Lowercase':
      return lowered;
    case 'BertNormalizer':
      return bertNormalizer(step);
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '');
    case 'Strip': {
      const left = step['strip_left'] === true ? /^\p{White_Space}+/u : null;
      const right = step['strip_right'] === true ? /(?<!\p{White_Space})\p{White_Space}+$/u : null;
      return (text) => {
        const rest = left ? text.replace(left, '') : text;
        return right ? rest.replace(right, '') : rest;
      };
    }
    default:
      throw new CheckpointError(`${step.type} is not supported`, {
        file: place.file,
        field: `${place.field}.type`,
      });
  }
}
