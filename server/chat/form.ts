// What a request says about its answer's form → the reader of its text and the grammar that its tokens must follow.
// Grammars are compiled in portions beside other work, so the answer may come later. Owns what happens where a form
// cannot be enforced: a schema that was asked for is refused with its place, a tool's is enforced as far as it goes,
// because agents bring tools of many makers and a refusal would end the session.
// Before it: openai/chat.ts, responses/routes.ts and responses/socket-lane.ts; after it: server/grammar and server/tools.

import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { TokenConstraint } from '../engine/request.ts';
import type { CompiledGrammar, CustomGrammar, GrammarCompiler, GrammarSource } from '../grammar/compiler.ts';
import { GrammarError } from '../grammar/grammar-error.ts';
import { toolGrammar } from '../tools/call-grammar.ts';
import type { Tool } from '../tools/definition.ts';
import { dialectOf, type ToolSyntax } from '../tools/dialect.ts';
import {
  type AnswerEvents,
  type AnswerReader,
  foreignReader,
  plainReader,
  toolReader,
} from './answer-reader.ts';
import type { ToolSet } from './tool-set.ts';

/** How the text of an answer is to be read and what may be said at all; no constraint: anything. */
export interface AnswerForm {
  readonly newConstraint: (() => TokenConstraint) | null;
  readonly newReader: (events: AnswerEvents) => AnswerReader;
}

/** Anything, and all of it is text. */
export const freeForm: AnswerForm = { newConstraint: null, newReader: plainReader };

export interface FormAsk {
  readonly tools: ToolSet;
  readonly text: GrammarSource | null; // of an answer without calls
  readonly textParam: string; // field of the request that asked for it
}

export interface FormParts {
  readonly compiler: Pick<GrammarCompiler, 'compile'>;
  readonly toolSyntax: ToolSyntax;
}

/** Calls `then` once: at once where nothing is to be compiled. */
export function withForm(ask: FormAsk, service: FormParts, then: (form: Parsed<AnswerForm>) => void): void {
  const { tools, text } = ask;
  const { toolSyntax } = service;
  const refused = tools.callable.length === 0 ? null : syntaxFault(ask, toolSyntax);
  if (refused !== null) {
    then({ ok: false, fault: refused });
    return;
  }
  const newReader = readerOf(tools, toolSyntax);
  // A foreign syntax is only read, so beside its calls no other form can be held either.
  const isFree = tools.callable.length === 0 ? text === null : toolSyntax.kind !== 'own';
  if (isFree) {
    then({ ok: true, value: { newConstraint: null, newReader } });
    return;
  }
  compileForm(ask, service)
    .then((grammar) => {
      const newConstraint = grammar === null ? null : () => grammar.newConstraint();
      then({ ok: true, value: { newConstraint, newReader } });
    })
    // Of what follows, too: outside of a promise there is only the process.
    .catch((error: unknown) => {
      const refused =
        error instanceof GrammarError
          ? fault('invalid_request', `${ask.textParam}: ${error.message}`, { param: ask.textParam })
          : fault('internal_error', `the answer's form: ${String(error)}`);
      then({ ok: false, fault: refused });
    });
}

function readerOf({ callable }: ToolSet, toolSyntax: ToolSyntax): AnswerForm['newReader'] {
  if (callable.length === 0 || toolSyntax.kind === 'unknown') return plainReader;
  return (events) =>
    toolSyntax.kind === 'own'
      ? toolReader(callable, toolSyntax.dialect, events)
      : foreignReader(callable, toolSyntax.syntax, events);
}

/** What would have to be enforced, or read, and cannot. */
function syntaxFault({ tools, text, textParam }: FormAsk, toolSyntax: ToolSyntax): Fault | null {
  if (toolSyntax.kind === 'unknown') {
    const message = "tools: this model's template writes calls in a syntax that is not read here";
    return fault('unsupported', message, { param: 'tools' });
  }
  if (toolSyntax.kind === 'own') return null;
  if (text !== null) {
    const message = `${textParam}: cannot be held beside tools in this model's own syntax`;
    return fault('unsupported', message, { param: textParam });
  }
  if (tools.choice.kind === 'auto') return null;
  const message = `tool_choice: calls in this model's own syntax (${toolSyntax.syntax.name}) are read, not enforced: only auto and none`;
  return fault('unsupported', message, { param: 'tool_choice' });
}

const FORMAT_TYPES = ['text', 'json_object', 'json_schema', 'grammar'];

/** A form that is not known is not held either: whoever asked for it would rely on nothing. */
export function formatFault(
  format: Readonly<Record<string, unknown>> | null | undefined,
  param: 'response_format' | 'text.format',
): Fault | null {
  if (format == null) return null;
  const { type } = format;
  const refused = (at: string, message: string) =>
    fault('invalid_request', `${param}${at}: ${message}`, { param: `${param}${at}` });
  if (!FORMAT_TYPES.includes(String(type))) {
    return refused('.type', `"${String(type)}" is none of ${FORMAT_TYPES.join(', ')}`);
  }
  if (type === 'json_schema') {
    const inner = format['json_schema'] ?? format;
    if (typeof inner !== 'object' || Array.isArray(inner))
      return refused('.json_schema', 'expected an object');
    if ((inner as Readonly<Record<string, unknown>>)['schema'] != null) return null;
    // Without one any JSON would do, which is not what anybody asks for by this name.
    return refused(inner === format ? '.schema' : '.json_schema.schema', 'a schema is needed');
  }
  if (type !== 'grammar') return null;
  if (typeof format['definition'] !== 'string') return refused('.definition', 'expected a text');
  const known = ['lark', 'regex', 'gbnf', undefined, null].includes(format['syntax'] as string);
  return known ? null : refused('.syntax', 'expected lark, regex or gbnf');
}

/** `json_schema`, `json_object` and `text`, in the spelling of either API; a known type, as formatFault looks for it. */
export function textSource(
  format: Readonly<Record<string, unknown>> | null | undefined,
): GrammarSource | null {
  if (format == null) return null;
  if (format['type'] === 'json_object') {
    // llama-server's and Together's: any object that fits the schema.
    const { schema } = format;
    return schema == null ? { kind: 'json-object' } : { kind: 'json-schema', schema, strict: true };
  }
  if (format['type'] === 'json_schema') {
    // Chat completions keep the fields under the name of the type.
    const inner = (format['json_schema'] ?? format) as Readonly<Record<string, unknown>>;
    // Whoever asks for a form relies on it: what cannot be enforced is refused, whether it says strict or not.
    return { kind: 'json-schema', schema: inner['schema'], strict: true };
  }
  if (format['type'] === 'grammar' && typeof format['definition'] === 'string') {
    const { syntax } = format;
    const kind = syntax === 'regex' || syntax === 'gbnf' ? syntax : 'lark';
    return kind === 'regex'
      ? { kind, pattern: format['definition'] }
      : { kind, definition: format['definition'] };
  }
  return null;
}

async function compileForm(
  { tools, text }: FormAsk,
  { compiler, toolSyntax }: FormParts,
): Promise<CompiledGrammar | null> {
  const alone = text === null ? null : await compiler.compile(text);
  if (tools.callable.length === 0) return alone;
  const { choice, parallel } = tools;
  const dialect = dialectOf(toolSyntax);
  const asked = tools.callable.map(({ tool }) => tool);
  // Each of these enforces less than the one before it.
  const attempts: readonly (readonly Tool[])[] = [asked, asked.map(lenient), asked.map(bare)];
  for (const attempt of attempts) {
    const source = toolGrammar({ tools: attempt, choice, parallel, dialect, text });
    const grammar = await compileOrNull(source, compiler);
    if (grammar !== null) return grammar;
  }
  return alone;
}

async function compileOrNull(
  source: GrammarSource | CustomGrammar | null,
  compiler: FormParts['compiler'],
): Promise<CompiledGrammar | null> {
  if (source === null) return null;
  try {
    return await compiler.compile(source);
  } catch (error) {
    if (error instanceof GrammarError) return null;
    throw error;
  }
}

function lenient(tool: Tool): Tool {
  return tool.kind === 'function' ? { ...tool, strict: false } : tool;
}

/** Any object, any text: calls still parse. */
function bare(tool: Tool): Tool {
  return tool.kind === 'function'
    ? { ...tool, strict: false, parameters: { type: 'object' } }
    : { ...tool, format: { kind: 'text' } };
}
