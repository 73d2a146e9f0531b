// Finds a name that one JSON object carries twice: JSON.parse keeps the last one silently, which would let two
// readers see two different files. Knows nothing of what the JSON means. Used by weights/safetensors.ts.

const quote = 0x22;
const backslash = 0x5c;

/** The first name repeated within one object of `text`, or null. `text` must already have passed JSON.parse. */
export function findDuplicateKey(text: string): string | null {
  const objects: (Set<string> | null)[] = []; // enclosing objects, innermost last; null is an array
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '{') objects.push(new Set());
    else if (char === '[') objects.push(null);
    else if (char === '}' || char === ']') objects.pop();
    else if (char === '"') {
      const end = stringEnd(text, at);
      const names = objects.at(-1);
      if (names && isName(text, end)) {
        const name = JSON.parse(text.slice(at, end)) as string;
        if (names.has(name)) return name;
        names.add(name);
      }
      at = end - 1;
    }
  }
  return null;
}

/** Index after the closing quote of the string that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== quote) at += text.charCodeAt(at) === backslash ? 2 : 1;
  return at + 1;
}

function isName(text: string, end: number): boolean {
  let at = end;
  while (at < text.length && ' \t\r\n'.includes(text[at]!)) at++;
  return text[at] === ':';
}
