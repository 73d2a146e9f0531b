// JSON texts that are not requests: files, answers of others, events. Owns nothing but what happens to one that is none.
import { readFileSync } from 'node:fs';

/** undefined where the text is no JSON: cut off, or a proxy's page. */
export function jsonValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Throws what `refusal` makes of the reason. */
export function parsedJson(text: string, refusal: (reason: string) => Error): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refusal((error as Error).message);
  }
}

/** The same of a file, which may also be unreadable. */
export function jsonFile(path: string, refusal: (reason: string) => Error): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw refusal((error as Error).message);
  }
  return parsedJson(text, refusal);
}
