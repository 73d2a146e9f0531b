// The fields by which requests ask for their answer's form: OpenAI's `response_format`, llama-server's `grammar` and
// `json_schema`, vLLM's `guided_*` and `structured_outputs` → one grammar to hold, or why there is none. Owns the names
// and that no two of them are asked for at once. Pure. Before it: chat.ts, completions.ts; after it: chat/form.ts.
import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { formatFault, textSource } from '../chat/form.ts';
import type { GrammarSource } from '../grammar/compiler.ts';

const TEXT_LENGTH_MAX = 500_000; // characters; the grammars' own readers have bounds below it
const CHOICE_COUNT_MAX = 10_000;

const schema = z.union([z.looseObject({}), z.boolean(), z.string().max(TEXT_LENGTH_MAX)]); // a string holds JSON
const text = z.string().min(1).max(TEXT_LENGTH_MAX);
const choices = z.array(z.string().min(1).max(TEXT_LENGTH_MAX)).min(1).max(CHOICE_COUNT_MAX);

export const formFields = {
  response_format: z.looseObject({ type: z.string() }).nullish(),
  grammar: z.string().max(TEXT_LENGTH_MAX).nullish(), // GBNF; '' is none
  json_schema: schema.nullish(),
  guided_json: schema.nullish(),
  guided_regex: text.nullish(),
  guided_choice: choices.nullish(),
  guided_grammar: text.nullish(), // GBNF, or Lark where it has a rule `start`
  structured_outputs: z
    .strictObject({
      json: schema.nullish(),
      regex: text.nullish(),
      choice: choices.nullish(),
      grammar: text.nullish(),
      json_object: z.boolean().nullish(),
    })
    .nullish(),
};

type FormFields = z.output<z.ZodObject<typeof formFields>>;

export interface AskedForm {
  readonly text: GrammarSource | null;
  readonly textParam: string; // the field that asked for it
}

/** The one form that was asked for. */
export function askedForm(fields: FormFields): Parsed<AskedForm> {
  const refused = formatFault(fields.response_format, 'response_format');
  if (refused !== null) return { ok: false, fault: refused };
  const asked: (readonly [param: string, source: Parsed<GrammarSource>])[] = [];
  const add = (param: string, source: Parsed<GrammarSource> | null) => {
    if (source !== null) asked.push([param, source]);
  };
  const format = textSource(fields.response_format);
  add('response_format', format && { ok: true, value: format });
  add('grammar', fields.grammar ? grammarSource(fields.grammar) : null);
  add('json_schema', schemaSource(fields.json_schema, 'json_schema'));
  add('guided_json', schemaSource(fields.guided_json, 'guided_json'));
  add('guided_regex', regexSource(fields.guided_regex));
  add('guided_choice', choiceSource(fields.guided_choice));
  add('guided_grammar', fields.guided_grammar == null ? null : grammarSource(fields.guided_grammar));
  const { json, regex, choice, grammar, json_object: object } = fields.structured_outputs ?? {};
  add('structured_outputs.json', schemaSource(json, 'structured_outputs.json'));
  add('structured_outputs.regex', regexSource(regex));
  add('structured_outputs.choice', choiceSource(choice));
  add('structured_outputs.grammar', grammar == null ? null : grammarSource(grammar));
  add(
    'structured_outputs.json_object',
    object === true ? { ok: true, value: { kind: 'json-object' } } : null,
  );
  const [first, second] = asked;
  if (first === undefined) return { ok: true, value: { text: null, textParam: 'response_format' } };
  if (second !== undefined) return { ok: false, fault: conflict(first[0], second[0]) };
  const [textParam, source] = first;
  return source.ok ? { ok: true, value: { text: source.value, textParam } } : source;
}

function conflict(one: string, other: string): Fault {
  const message = `${other}: an answer has one form, and ${one} asks for one too`;
  return fault('invalid_request', message, { param: other });
}

function schemaSource(
  given: z.output<typeof schema> | null | undefined,
  param: string,
): Parsed<GrammarSource> | null {
  if (given == null) return null;
  if (typeof given !== 'string')
    return { ok: true, value: { kind: 'json-schema', schema: given, strict: true } };
  try {
    return { ok: true, value: { kind: 'json-schema', schema: JSON.parse(given) as unknown, strict: true } };
  } catch {
    return { ok: false, fault: fault('invalid_request', `${param}: is no JSON`, { param }) };
  }
}

function regexSource(pattern: string | null | undefined): Parsed<GrammarSource> | null {
  return pattern == null ? null : { ok: true, value: { kind: 'regex', pattern } };
}

function choiceSource(texts: readonly string[] | null | undefined): Parsed<GrammarSource> | null {
  return texts == null ? null : { ok: true, value: { kind: 'choice', texts } };
}

/** `name ::= …` is GBNF; Lark writes `name: …`. */
function grammarSource(definition: string): Parsed<GrammarSource> {
  const kind = /^\s*[\w-]+\s*::=/m.test(definition) ? 'gbnf' : 'lark';
  return { ok: true, value: { kind, definition } };
}
