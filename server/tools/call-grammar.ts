// Grammars of answers with tool calls: free text until a call begins, then only a tool's name and arguments that match
// its schema; or calls and nothing else. Agrees with call-parser.ts on every form a call can take.
// Before it: the API routes; after it: grammar/compiler.ts.
import { createHash } from 'node:crypto';
import type { Regex } from '../grammar/byte-regex.ts';
import { codePoints, complement, oneOf } from '../grammar/code-points.ts';
import {
  type CustomGrammar,
  type GrammarSource,
  type WrittenForm,
  writeSource,
} from '../grammar/compiler.ts';
import { anyText, textWithout } from '../grammar/free-text.ts';
import { GrammarError } from '../grammar/grammar-error.ts';
import { compileSchema } from '../grammar/json-schema.ts';
import { compileLark } from '../grammar/lark.ts';
import type { Portioned } from '../grammar/pace.ts';
import { compilePattern, prepareClasses } from '../grammar/pattern.ts';
import { choice, type Expression, objectStart, repeat, rule, sequence, terminal } from '../grammar/rules.ts';
import type { SchemaContext } from '../grammar/schema-context.ts';
import type { IgnoredKeyword } from '../grammar/schema-reader.ts';
import { type CustomTool, customInputKey, type Tool, type ToolChoice } from './definition.ts';
import type { ToolDialect } from './dialect.ts';

export interface ToolAnswer {
  readonly tools: readonly Tool[]; // at least one; distinct names
  readonly choice: ToolChoice;
  readonly parallel: boolean; // more than one call in an answer
  readonly dialect: ToolDialect;
  readonly text: GrammarSource | null; // form of an answer that is text; null: free
}

const callsMax = 64; // in one answer

/** null: nothing to enforce (no tools, or tool_choice none) beyond `text`. Throws GrammarError for an unknown name. */
export function toolGrammar(answer: ToolAnswer): GrammarSource | CustomGrammar | null {
  const { choice: wanted } = answer;
  if (wanted.kind === 'none' || answer.tools.length === 0) return answer.text;
  if (wanted.kind === 'named' && !answer.tools.some(({ name }) => name === wanted.name)) {
    throw new GrammarError('invalid', `there is no tool "${wanted.name}"`, { path: 'tool_choice' });
  }
  return { kind: 'custom', key: keyOf(answer), write: (context) => writeAnswer(answer, context) };
}

function keyOf({ tools, ...rest }: ToolAnswer): string {
  // Descriptions do not change what may be written.
  const forms = tools.map((tool) => ({ ...tool, description: null }));
  return `tools ${createHash('sha256')
    .update(JSON.stringify([forms, rest]))
    .digest('base64')}`;
}

interface Writing {
  readonly answer: ToolAnswer;
  readonly context: SchemaContext;
  readonly ignored: IgnoredKeyword[];
}

function* writeAnswer(answer: ToolAnswer, context: SchemaContext): Portioned<WrittenForm> {
  const writing: Writing = { answer, context, ignored: [] };
  const { choice: wanted, tools } = answer;
  const usable = wanted.kind === 'named' ? tools.filter(({ name }) => name === wanted.name) : tools;
  const places = new Map(tools.map((tool, index) => [tool, index]));
  const forms: Expression[] = [];
  for (const tool of usable) forms.push(yield* writeCall(tool, places.get(tool)!, writing));
  context.rules.set('call', choice(...forms));
  const isSingle = wanted.kind === 'named' || !answer.parallel;
  const calls = isSingle ? rule('call') : sequence(rule('call'), repeat(nextCall(writing), 0, callsMax - 1));
  const start = wanted.kind === 'auto' ? yield* textOrCalls(calls, writing) : calls;
  return { start, ignored: writing.ignored };
}

/** At most one thing may stand between two calls: a line break, or what the dialect separates them with. */
function nextCall({ answer, context: { table } }: Writing): Expression {
  const separator =
    answer.dialect.open === '' ? table.or([table.text('; '), table.text('\n')]) : table.text('\n');
  return sequence(terminal(table.repeat(separator, 0, 1)), rule('call'));
}

function* textOrCalls(calls: Expression, { answer, context, ignored }: Writing): Portioned<Expression> {
  const { table } = context;
  const { open } = answer.dialect;
  if (answer.text !== null) {
    const text = yield* writeSource(answer.text, context);
    ignored.push(...text.ignored);
    return choice(text.start, calls);
  }
  if (open !== '') return sequence(terminal(textWithout([open], table)), repeat(calls, 0, 1));
  // A brace at the start makes the answer a call, so text begins with something else.
  const first = oneOf(complement(codePoints([[0x7b, 0x7b], ...blanks])), { table, form: 'utf8' });
  const text = table.repeat(table.concat(first, anyText(table)), 0, 1);
  return choice(terminal(text), calls);
}

const blanks = [
  [0x09, 0x0d],
  [0x20, 0x20],
] as const;

function* writeCall(tool: Tool, index: number, writing: Writing): Portioned<Expression> {
  const { table, terminals } = writing.context;
  const { open, close, argumentsKey } = writing.answer.dialect;
  const lineBreak = table.repeat(table.text('\n'), 0, 1);
  const spaced = (...words: readonly string[]): Regex =>
    table.sequence(...words.flatMap((word) => [table.text(word), terminals.space]));
  const head = spaced('{', '"name":', `${JSON.stringify(tool.name)},`, `"${argumentsKey}":`);
  const opening = open === '' ? head : table.sequence(table.text(open), lineBreak, head);
  const tail = open === '' ? table.empty : table.sequence(lineBreak, table.text(close));
  const closing = table.sequence(terminals.space, table.text('}'), tail);
  try {
    const begin = open === '' ? objectStart(opening) : terminal(opening);
    return sequence(begin, yield* writeArguments(tool, index, writing), terminal(closing));
  } catch (error) {
    if (error instanceof GrammarError)
      throw error.inside(`tools[${index}].${tool.kind === 'custom' ? 'format ' : 'parameters'}`);
    throw error;
  }
}

function* writeArguments(tool: Tool, index: number, { context, ignored }: Writing): Portioned<Expression> {
  const { table, terminals } = context;
  const name = `tool ${index} `;
  if (tool.kind === 'custom') {
    const opening = table.sequence(
      table.text('{'),
      terminals.space,
      table.text(`"${customInputKey}":`),
      terminals.space,
    );
    const closing = table.sequence(terminals.quote, terminals.space, table.text('}'));
    const begin = terminal(table.concat(opening, terminals.quote));
    return sequence(begin, yield* writeInput(tool.format, { context, name }), terminal(closing));
  }
  const schema = objectSchema(tool.parameters);
  const { value, ignored: left } = yield* compileSchema(schema, context, { strict: tool.strict, name });
  ignored.push(...left.map(({ path, keyword }) => ({ path: `tools[${index}].parameters${path}`, keyword })));
  return value;
}

/** Inside a JSON string, so that the whole call stays JSON. */
function* writeInput(
  format: CustomTool['format'],
  { context, name }: { readonly context: SchemaContext; readonly name: string },
): Portioned<Expression> {
  const { table, terminals, rules, pace, bounds } = context;
  switch (format.kind) {
    case 'text':
      return terminal(table.repeat(terminals.character, 0));
    case 'regex':
      yield* prepareClasses(format.definition, context);
      return terminal(
        compilePattern(format.definition, { table, form: 'json', path: 'regex', search: false, bounds }),
      );
    case 'lark':
      return yield* compileLark(format.definition, { table, pace, bounds, form: 'json', rules, name });
  }
}

/** Arguments are an object, whatever else the schema says. */
function objectSchema(parameters: unknown): unknown {
  if (parameters === null || parameters === undefined) return { type: 'object', additionalProperties: false };
  if (typeof parameters !== 'object' || Array.isArray(parameters)) return parameters;
  const isOpen = Object.keys(parameters).length === 0;
  return isOpen ? { type: 'object' } : parameters;
}
