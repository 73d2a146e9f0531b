// Contents of messages and items, as any API's clients write them: their text. Pure.
import { partText } from '../../models/template/content-part.ts';

/** The text of a content: a string, or parts of which those of other kinds leave a note for the model. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  const texts = (content as readonly unknown[]).map(partText).filter((text) => text !== null);
  return texts.join('\n');
}

/** What a tool answered: text, parts, or any JSON. */
export function outputText(output: unknown): string {
  if (typeof output === 'string') return output;
  if (Array.isArray(output)) return contentText(output);
  return output === undefined || output === null ? '' : JSON.stringify(output);
}

export function textField(item: Readonly<Record<string, unknown>>, name: string): string {
  const value = item[name];
  return typeof value === 'string' ? value : '';
}
