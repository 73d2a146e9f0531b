// Integers of a JSON text that a double cannot hold, exactly as they were written. Owns which fields are read so: those whose
// neighbours would else be one (seeds). Pure. Used by json-body.ts.

const FIELD = /(?<!\\)"seed"\s*:\s*(-?\d{16,19})(?![\d.eE])/g;

/** The text's value, with the `seed` of an object, or of its `options`, as a bigint where a double has lost digits. */
export function withExactSeed(value: unknown, text: string): unknown {
  restore(value, text, 1);
  if (isObject(value)) restore(value['options'], text, 2); // Ollama's
  return value;
}

function restore(holder: unknown, text: string, depth: number): void {
  if (!isObject(holder)) return;
  const { seed } = holder;
  if (typeof seed !== 'number' || Number.isSafeInteger(seed)) return;
  let at = { index: 0, depth: 0 };
  for (const match of text.matchAll(FIELD)) {
    at = walked(text, at, match.index);
    const exact = BigInt(match[1]!);
    if (Number(exact) === seed && at.depth === depth) holder['seed'] = exact;
  }
}

interface Place {
  readonly index: number; // outside of strings
  readonly depth: number; // open brackets before it
}

/** On to `end`, so that the text is read once however many fields it has. */
function walked(text: string, from: Place, end: number): Place {
  let { index, depth } = from;
  let inString = false;
  for (; index < end; index++) {
    const char = text[index];
    if (inString && char === '\\') index++;
    else if (char === '"') inString = !inString;
    else if (!inString && (char === '{' || char === '[')) depth++;
    else if (!inString && (char === '}' || char === ']')) depth--;
  }
  return { index, depth };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
