// BERT's normaliser: control characters out, all white space one, Chinese characters words of their own, accents and
// capitals gone where the model was trained without. Meanings are those of Hugging Face tokenizers. Before it:
// text-normalizer.ts.
import type { TokenizerStep } from './tokenizer-step.ts';

const dropped = /[\0\ufffd]|(?![\t\n\r])\p{C}/gu;
const space = /\p{White_Space}/gu;
const ideograph =
  /[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{F900}-\u{FAFF}\u{2F800}-\u{2FA1F}]/gu;

export function bertNormalizer(step: TokenizerStep): (text: string) => string {
  const isOn = (name: string) => step[name] !== false;
  const lowers = isOn('lowercase');
  const strips = typeof step['strip_accents'] === 'boolean' ? step['strip_accents'] : lowers;
  return (text) => {
    let changed = text;
    if (isOn('clean_text')) changed = changed.replace(dropped, '').replace(space, ' ');
    if (isOn('handle_chinese_chars')) changed = changed.replace(ideograph, ' $& ');
    if (strips) changed = changed.normalize('NFD').replace(/\p{Mn}/gu, '');
    return lowers ? lowered(changed) : changed;
  };
}

/** Letter by letter: JavaScript's own gives a sigma at the end of a word another form. */
export function lowered(text: string): string {
  return text.replace(/\p{Changes_When_Lowercased}/gu, (letter) => letter.toLowerCase());
}
