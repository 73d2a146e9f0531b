// Stand-in content of a given length in tokens: words that look like code, the same for the same seed. Real traces come
// without text; what matters to a server is how long a prompt is and which prefix it shares with which other. Pure.
import { Random } from '../../kernels/random.ts';
import type { Part, TurnItem } from './turn.ts';

// Frequent in code; with the space before it, each is one token in the vocabularies of code models.
const WORDS =
  'return const let if for while function class import from export new this null true false string number void ' +
  'value index key name type data list item node path file line text size count start end next first last map ' +
  'set get add push call test error result state input output error token user time code block step table view ' +
  'left right min max sum read write open close send wait then else case break in of is not and or as';
const words = WORDS.split(' ');
const WORDS_PER_LINE = 12;

/** How many words make a token; 1 until the target's tokenizer says otherwise. */
export interface FillerScale {
  readonly wordsPerToken: number;
}

export function fillerText(seed: number, tokenCount: number, { wordsPerToken }: FillerScale): string {
  const random = new Random(seed);
  const wordCount = Math.max(1, Math.round(tokenCount * wordsPerToken));
  let text = '';
  for (let at = 0; at < wordCount; at++) {
    // A line break takes the place of a word, so the count of tokens stays.
    text +=
      at % WORDS_PER_LINE === WORDS_PER_LINE - 1 ? '\n' : ` ${words[random.integer(0, words.length - 1)]}`;
  }
  return text;
}

/** Token ids in [firstId, vocabSize). */
export function fillerTokens(
  seed: number,
  tokenCount: number,
  ids: { first: number; vocabSize: number },
): number[] {
  const random = new Random(seed);
  const tokens = new Array<number>(tokenCount);
  for (let at = 0; at < tokenCount; at++) tokens[at] = random.integer(ids.first, ids.vocabSize - 1);
  return tokens;
}

function partText(part: Part, scale: FillerScale): string {
  return part.kind === 'text' ? part.text : fillerText(part.seed, part.tokenCount, scale);
}

export function itemText(item: TurnItem, scale: FillerScale): string {
  let text = '';
  for (const part of item.parts) text += partText(part, scale);
  return text;
}

/** All items of a turn as one text, a line break between them. */
export function itemsText(items: readonly TurnItem[], scale: FillerScale): string {
  return items.map((item) => itemText(item, scale)).join('\n');
}
