// Content of a turn in the shapes protocols want: text, token ids, or messages. Pure.
import { type FillerScale, fillerTokens, itemsText, itemText } from '../../workload/filler.ts';
import type { TurnItem } from '../../workload/turn.ts';

export interface ContentOptions {
  readonly scale: FillerScale;
  /** Ids that fillers may use; needed where content is sent as token ids. */
  readonly ids: { readonly first: number; readonly vocabSize: number } | null;
  /** Text parts as token ids, where content is sent as token ids. */
  readonly encode: ((text: string) => readonly number[]) | null;
}

export interface Message {
  readonly role: string;
  readonly content: string;
}

export function textOf(items: readonly TurnItem[], { scale }: ContentOptions): string {
  return itemsText(items, scale);
}

/** Tool results travel as user messages: a tool role needs the call it answers, and there is none in a replay. */
export function messagesOf(items: readonly TurnItem[], { scale }: ContentOptions): Message[] {
  return items.map((item) => ({
    role: item.role === 'system' ? 'system' : 'user',
    content: itemText(item, scale),
  }));
}

export function contentTokens(items: readonly TurnItem[], { ids, encode }: ContentOptions): number[] {
  if (ids === null) throw new RangeError('content as token ids needs the size of the vocabulary');
  const tokens: number[] = [];
  for (const item of items) {
    for (const part of item.parts) {
      if (part.kind === 'filler')
        for (const id of fillerTokens(part.seed, part.tokenCount, ids)) tokens.push(id);
      else if (encode === null) throw new RangeError('real text as token ids needs a tokenizer');
      else for (const id of encode(part.text)) tokens.push(id);
    }
  }
  return tokens;
}
