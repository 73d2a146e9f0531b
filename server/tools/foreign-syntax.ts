// Syntaxes of tool calls other than Hermes' and Llama's, which call-parser.ts reads piece by piece and call-grammar.ts
// enforces: here a call is read once it is whole, and nothing is enforced. Owns the families' spellings and where a call
// of theirs ends. Pure. Before it: dialect.ts tells them by what a template renders; after it: foreign-reader.ts.
import { JsonScanner } from './json-scanner.ts';

export interface ForeignCall {
  readonly name: string;
  readonly arguments: unknown; // as parsed; text where it is none
}

/** What stands at the beginning of a text: calls with their length, or null while more is needed. */
export interface ReadCalls {
  readonly calls: readonly ForeignCall[];
  readonly length: number; // characters that they and what is around them take
}

export interface ForeignSyntax {
  readonly name: string;
  /** Any of these begins markup: nothing behind it is text until it has been read. */
  readonly opens: readonly string[];
  /** Tokens that stand for marks, shown as text even where a vocabulary calls them special. */
  readonly marks: readonly string[];
  /** `text` begins with one of `opens`. Markup around calls may be read by itself, as no calls. */
  read(text: string): ReadCalls | null;
  /** How a model is told to call, by a template that shows calls but no tools; null: such templates are not known. */
  readonly told: string | null;
  /** The name of a call that was cut off, as far as it is known. */
  nameOf(text: string): string | null;
}

const deepseekMarks = ['calls▁begin', 'calls▁end', 'call▁begin', 'call▁end', 'sep'].map(
  (part) => `<｜tool▁${part}｜>`,
);

/** `function<sep>name⏎```json⏎{…}⏎```, or since V3.1 `name<sep>{…}`. */
export const deepseek: ForeignSyntax = {
  name: 'deepseek',
  opens: ['<｜tool▁calls▁begin｜>', '<｜tool▁call▁begin｜>', '<｜tool▁calls▁end｜>'],
  marks: deepseekMarks,
  told: '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜><function-name>\n```json\n<args-json-object>\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  read: (text) => {
    const around = /^(?:<｜tool▁calls▁(?:begin|end)｜>)\s*/.exec(text);
    if (around !== null) return { calls: [], length: around[0].length };
    const end = '<｜tool▁call▁end｜>';
    const at = text.indexOf(end);
    if (at < 0) return null;
    const inner = text.slice('<｜tool▁call▁begin｜>'.length, at);
    const fenced = /^\s*\w*<｜tool▁sep｜>([^\n]+)\n```json\n([\s\S]*?)\n?```\s*$/.exec(inner);
    const plain = fenced ?? /^\s*([^<\n]+)<｜tool▁sep｜>([\s\S]*)$/.exec(inner);
    const calls = plain === null ? [] : [{ name: plain[1]!.trim(), arguments: parsed(plain[2]!) }];
    return { calls, length: at + end.length + /^\s*/.exec(text.slice(at + end.length))![0].length };
  },
  nameOf: (text) =>
    (/function<｜tool▁sep｜>([^\n]+)\n/.exec(text) ??
      /<｜tool▁call▁begin｜>([^<\n]+)<｜tool▁sep｜>/.exec(text))?.[1] ?? null,
};

/** `[TOOL_CALLS][{"name": …, "arguments": …}]`, or since v11 `[TOOL_CALLS]name[ARGS]{…}`, one after the other. */
export const mistral: ForeignSyntax = {
  name: 'mistral',
  opens: ['[TOOL_CALLS]'],
  marks: ['[TOOL_CALLS]', '[ARGS]', '[CALL_ID]'],
  told: '[TOOL_CALLS][{"name": <function-name>, "arguments": <args-json-object>}]',
  read: (text) => {
    const named = /^\[TOOL_CALLS\]\s*([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\]|(?=\{))/.exec(text);
    const start = named?.[0].length ?? '[TOOL_CALLS]'.length;
    const end = new JsonScanner().scan(text.slice(start));
    if (end < 0 || (named === null && !/^\s*[[{]/.test(text.slice(start)))) return null;
    const value = parsed(text.slice(start, start + end));
    const calls = named === null ? listed(value) : [{ name: named[1]!, arguments: value }];
    return { calls, length: start + end };
  },
  nameOf: (text) =>
    (/^\[TOOL_CALLS\]\s*([\w.-]+)[[{]/.exec(text) ?? /"name"\s*:\s*"([^"]+)"/.exec(text))?.[1] ?? null,
};

/** `<function=name><parameter=key>⏎value⏎</parameter></function>`, between tags of Hermes: Qwen3-Coder and its kin. */
export const qwenXml: ForeignSyntax = {
  name: 'qwen-xml',
  opens: ['<tool_call>', '<function=', '</tool_call>'],
  marks: ['<tool_call>', '</tool_call>'],
  told: null,
  read: (text) => {
    const around = /^<\/?tool_call>\s*/.exec(text);
    if (around !== null) return { calls: [], length: around[0].length };
    const whole = /^<function=([^>\n]+)>([\s\S]*?)<\/function>\s*/.exec(text);
    if (whole === null) return null;
    const given = [...whole[2]!.matchAll(/<parameter=([^>\n]+)>\n?([\s\S]*?)\n?<\/parameter>/g)];
    const values = Object.fromEntries(given.map(([, key, value]) => [key!, value!]));
    return { calls: [{ name: whole[1]!, arguments: values }], length: whole[0].length };
  },
  nameOf: (text) => /<function=([^>\n]+)>/.exec(text)?.[1] ?? null,
};

function listed(value: unknown): ForeignCall[] {
  const all = Array.isArray(value) ? (value as readonly unknown[]) : [value];
  return all.flatMap((one) => {
    const { name, arguments: given } = (one ?? {}) as Readonly<Record<string, unknown>>;
    return typeof name === 'string' ? [{ name, arguments: given ?? {} }] : [];
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
