// The pre-tokenizers that GGUF files name instead of writing them out: each name's steps and normaliser as the published
// tokenizer.json has them. A name that is not here is refused: another's steps would cut texts where the model never saw
// them cut. Names: llama_vocab of llama.cpp; patterns: the tokenizer.json of the models they are named after, which
// llama.cpp quotes. Before it: gguf-tokenizer.ts; after it: tokenizer/text-splitter.ts.
import type { TokenizerStep } from '../tokenizer/tokenizer-step.ts';

export interface PreTokenizer {
  readonly steps: readonly TokenizerStep[];
  readonly normalizer?: TokenizerStep;
  readonly ignoresMerges?: boolean; // a piece that is a token as a whole is not merged up
  readonly beginsWithBos?: boolean; // unless the file says otherwise
}

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const lineEnds = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** cl100k's words, with so many digits to a number. */
const words = (digits: string, letters = '\\p{L}', others = '[^\\s\\p{L}\\p{N}]') =>
  `${contractions}|[^\\r\\n\\p{L}\\p{N}]?${letters}+|${digits}| ?${others}+[\\r\\n]*|${lineEnds}`;

/** o200k's words: a capital begins another. */
const casedWords = (suffix: string, digits: string) => {
  const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
  const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
  const start = '[^\\r\\n\\p{L}\\p{N}]?';
  return (
    `${start}${upper}*${lower}+${suffix}|${start}${upper}+${lower}*${suffix}|` +
    `${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${lineEnds}`
  );
};

const bytes: TokenizerStep = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
const gpt2: TokenizerStep = { ...bytes, use_regex: true };
const digitByDigit: TokenizerStep = { type: 'Digits', individual_digits: true };
const nfc: TokenizerStep = { type: 'NFC' };
const split = (pattern: string): TokenizerStep => ({
  ...{ type: 'Split', pattern: { Regex: pattern } },
  ...{ behavior: 'Isolated', invert: false },
});
// ByteLevel's own pattern as a split, where other splits follow.
const gpt2Words = split("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");

const oneDigit = [split(words('\\p{N}')), bytes];
const threeDigits = [split(words('\\p{N}{1,3}')), bytes];
const bloomWords = split(' ?[^(\\s|.,!?…。，、।۔،)]+');
const cjk = '[一-龥ࠀ-一가-퟿]+';

const qwen2: PreTokenizer = { steps: oneDigit, normalizer: nfc };
const llama3: PreTokenizer = { steps: threeDigits, ignoresMerges: true, beginsWithBos: true };
const digitsThenGpt2: PreTokenizer = { steps: [digitByDigit, gpt2] };
const plainGpt2: PreTokenizer = { steps: [gpt2] };
const gpt4o: PreTokenizer = { steps: [split(casedWords(`${contractions}?`, '\\p{N}{1,3}')), bytes] };
const deepseek3: PreTokenizer = {
  steps: [
    split('\\p{N}{1,3}'),
    split('[一-龥぀-ゟ゠-ヿ]+'),
    split(
      '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|' +
        ` ?[\\p{P}\\p{S}]+[\\r\\n]*|${lineEnds}`,
    ),
    bytes,
  ],
};

export const preTokenizers: ReadonlyMap<string, PreTokenizer> = new Map([
  // Files from before the names have this, or none: llama.cpp's own guess, for want of the model's.
  [
    'default',
    {
      steps: [split('[\\p{P}$+<=>^~|]+'), gpt2Words, split('\\p{N}+'), split('[0-9][0-9][0-9]'), bytes],
    },
  ],
  ...named(plainGpt2, [
    'gpt-2',
    'phi-2',
    'jais',
    'exaone4',
    'trillion',
    'granite-docling',
    'mellum',
    'a.x-4.0',
  ]),
  ...named({ ...plainGpt2, normalizer: nfc }, ['olmo', 'mpt']),
  ...named(digitsThenGpt2, ['smollm', 'starcoder', 'refact', 'codeshell', 'exaone', 'minerva-7b', 'mellum2']),
  ['command-r', { ...digitsThenGpt2, normalizer: nfc }],
  ...named(qwen2, ['qwen2', 'deepseek-r1-qwen', 'stablelm2', 'megrez', 'kormo']),
  ...named({ steps: oneDigit }, ['hunyuan', 'grok-2', 'solar-open']),
  [
    'qwen35',
    { ...qwen2, steps: [split(words('\\p{N}', '[\\p{L}\\p{M}]', '[^\\s\\p{L}\\p{M}\\p{N}]')), bytes] },
  ],
  ...named(llama3, [
    'llama3',
    'llama-v3',
    'llama-bpe',
    'falcon3',
    'falcon-h1',
    'pixtral',
    'midm-2.0',
    'lfm2',
  ]),
  ...named({ steps: threeDigits }, ['dbrx', 'smaug-bpe', 'glm4', 'chatglm-bpe']),
  ['tekken', { steps: [split(casedWords('', '\\p{N}')), bytes], ignoresMerges: true, beginsWithBos: true }],
  ...named(gpt4o, ['gpt-4o', 'llama4', 'minimax-m2']),
  ...named(deepseek3, ['deepseek-v3', 'hunyuan-dense', 'joyai-llm']),
  [
    'deepseek-llm',
    {
      steps: [
        split('[\\r\\n]'),
        split('\\s?[\\p{Lu}\\p{Ll}\\p{Lt}]+'),
        split('\\s?[!-/:-~！-／：-～‘-‟　-。]+'),
        split('\\s+$'),
        split(cjk),
        digitByDigit,
        bytes,
      ],
    },
  ],
  [
    'deepseek-coder',
    {
      steps: [split('[\\r\\n]'), split('\\s?\\p{L}+'), split('\\s?\\p{P}+'), split(cjk), digitByDigit, bytes],
    },
  ],
  [
    'falcon',
    {
      steps: [{ type: 'Punctuation', behavior: 'Contiguous' }, gpt2Words, split('[0-9][0-9][0-9]'), bytes],
    },
  ],
  ...named({ steps: [bloomWords, bytes] }, ['bloom', 'poro-chat', 'gpt3-finnish']),
  ['viking', { steps: [bloomWords, split('\\p{N}'), bytes] }],
  [
    'seed-coder',
    {
      steps: [
        split(
          `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${lineEnds}`,
        ),
        bytes,
      ],
    },
  ],
  [
    'bailingmoe',
    {
      steps: [
        split(
          "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
            '\\s*[\\r\\n]|\\s+(?!\\S)|\\s+',
        ),
        bytes,
      ],
    },
  ],
]);

function named(preTokenizer: PreTokenizer, names: readonly string[]): (readonly [string, PreTokenizer])[] {
  return names.map((name) => [name, preTokenizer] as const);
}
