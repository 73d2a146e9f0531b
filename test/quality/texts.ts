// What quality is measured on: four frozen texts of our own (TypeScript and Python of this project, its documents, and
// prose written for the purpose), so that figures stay comparable while the sources change. Nothing is calibrated on
// them. Before it: main.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tokenizer } from '../../models/tokenizer/tokenizer.ts';

export const textNames = ['typescript', 'python', 'documents', 'prose'] as const;

/** Consecutive tokens of one text, read without anything before them but the model's start tokens. */
export interface TextWindow {
  readonly text: (typeof textNames)[number];
  readonly tokens: readonly number[];
}

/** Windows of `windowTokens`, the texts taking turns, until `tokensMax` tokens are reached or the texts end. */
export function textWindows(
  tokenizer: Tokenizer,
  { windowTokens, tokensMax }: { readonly windowTokens: number; readonly tokensMax: number },
): TextWindow[] {
  const perText = textNames.map((text) => {
    const content = readFileSync(join(import.meta.dirname, 'text', `${text}.txt`), 'utf8');
    return cut(text, [...tokenizer.encode(content)], tokenizer.startIds, windowTokens);
  });
  const turns = Math.max(...perText.map((windows) => windows.length));
  const windows: TextWindow[] = [];
  let count = 0;
  for (let turn = 0; turn < turns; turn++) {
    for (const own of perText) {
      const window = own[turn];
      if (window === undefined || count >= tokensMax) continue;
      const tokens = window.tokens.slice(0, tokensMax - count);
      count += tokens.length;
      windows.push({ ...window, tokens });
    }
  }
  return windows;
}

function cut(
  text: TextWindow['text'],
  tokens: readonly number[],
  startIds: readonly number[],
  windowTokens: number,
): TextWindow[] {
  const size = windowTokens - startIds.length;
  return Array.from({ length: Math.ceil(tokens.length / size) }, (_, index) => ({
    text,
    tokens: [...startIds, ...tokens.slice(index * size, (index + 1) * size)],
  }));
}
