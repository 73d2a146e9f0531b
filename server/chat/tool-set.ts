// The tools of a request in the Responses API's spelling, or that of chat completions → tools as the model is told of
// them (server/tools). Owns names: tools of a namespace get one name for the model and go back under their two. Tools of
// other types (web_search, …) are left out: nobody would run them here. Pure. Before it: responses/plan.ts; after it: server/tools.
import { type Fault, fault } from '../base/errors.ts';
import type { CustomFormat, Tool, ToolChoice } from '../tools/definition.ts';

export interface WireTool {
  readonly tool: Tool; // its name is the model's, and unique
  readonly wireName: string;
  readonly namespace: string | null;
}

export interface ToolSet {
  readonly shown: readonly WireTool[]; // in the prompt; [] where none may be called
  readonly callable: readonly WireTool[]; // a part of those
  readonly choice: ToolChoice;
  readonly parallel: boolean; // more than one call in an answer
}

/** `lists` of tools in the order they were given; a later tool replaces an earlier one of the same name. */
export function toolSetOf(
  lists: readonly unknown[],
  { choice, parallel }: { readonly choice: unknown; readonly parallel: boolean },
): ToolSet {
  const tools = new Map<string, WireTool>();
  for (const list of lists) {
    if (!Array.isArray(list)) continue;
    for (const tool of list as readonly unknown[]) addTool(tools, tool, null);
  }
  const shown = [...tools.values()];
  if (shown.length === 0 || choice === 'none') {
    return { shown: [], callable: [], choice: { kind: 'none' }, parallel };
  }
  return { shown, parallel, ...chosen(choice, shown) };
}

/** The name under which the model knows a tool. */
export function wireToolName(wireName: string, namespace: unknown): string {
  return typeof namespace === 'string' && namespace !== '' ? `${namespace}__${wireName}` : wireName;
}

export const noTools: ToolSet = toolSetOf([], { choice: 'none', parallel: true });

/** What in a list is no tool that a model could call: chat completions know no others, so that none is lost without a word. */
export function toolsFault(list: readonly unknown[] | null | undefined): Fault | null {
  for (const [index, given] of (list ?? []).entries()) {
    const at = `tools[${index}]`;
    const { type, ...fields } = fieldsOf(given) ?? {};
    const refused = (param: string, message: string) =>
      fault('invalid_request', `${param}: ${message}`, { param });
    if (type !== 'function' && type !== 'custom' && type !== 'namespace') {
      return refused(`${at}.type`, `function and custom are known, not ${JSON.stringify(type)}`);
    }
    const inner = fieldsOf(fields[type]);
    const { name } = inner ?? fields;
    if (typeof name === 'string' && name !== '') continue;
    return refused(`${at}${inner === null ? '' : `.${type}`}.name`, 'a tool needs one');
  }
  return null;
}

/** Why a choice cannot be kept: a call that was asked for must not become prose. */
export function toolChoiceFault(given: unknown, { shown }: Pick<ToolSet, 'shown'>): Fault | null {
  const refused = (message: string) =>
    fault('invalid_request', `tool_choice: ${message}`, { param: 'tool_choice' });
  if (given === undefined || given === null || given === 'auto' || given === 'none') return null;
  if (given === 'required')
    return shown.length > 0 ? null : refused('"required" needs tools that can be called');
  const choice = fieldsOf(given);
  if (choice === null) return refused(`"${String(given)}" is none of auto, none, required`);
  const { type } = choice;
  if (type === 'auto' || type === 'none') return null;
  const allowed = type === 'allowed_tools' ? (fieldsOf(choice['allowed_tools']) ?? choice) : null;
  if (allowed === null) {
    return shown.some((tool) => names(choice, tool)) ? null : refused(`${named(choice)} is not in tools`);
  }
  const { mode, tools } = allowed;
  if (mode !== undefined && mode !== 'auto' && mode !== 'required')
    return refused('mode: expected auto or required');
  if (!Array.isArray(tools) || tools.length === 0) return refused('allowed_tools: expected a list of tools');
  const stray = (tools as readonly unknown[]).find((one) => !shown.some((tool) => names(one, tool)));
  return stray === undefined ? null : refused(`${named(stray)} is not in tools`);
}

function named(choice: unknown): string {
  const fields = fieldsOf(choice);
  const inner = fieldsOf(fields?.['function']) ?? fieldsOf(fields?.['custom']) ?? fields;
  return `'${String(inner?.['name'] ?? fields?.['type'])}'`;
}

/** Of a choice that toolChoiceFault has let through; any other is the model's. */
function chosen(given: unknown, shown: readonly WireTool[]): Pick<ToolSet, 'callable' | 'choice'> {
  const auto = { callable: shown, choice: { kind: 'auto' } } as const;
  if (given === 'required') return { callable: shown, choice: { kind: 'required' } };
  const choice = fieldsOf(given);
  if (choice === null) return auto;
  if (choice['type'] === 'allowed_tools') {
    // Chat completions nest the two fields once more.
    const allowed = fieldsOf(choice['allowed_tools']) ?? choice;
    const listed = Array.isArray(allowed['tools']) ? (allowed['tools'] as readonly unknown[]) : [];
    const callable = shown.filter((tool) => listed.some((one) => names(one, tool)));
    const kind = allowed['mode'] === 'required' ? 'required' : 'auto';
    return callable.length > 0 ? { callable, choice: { kind } } : auto;
  }
  const callable = shown.filter((tool) => names(choice, tool));
  const [only] = callable;
  if (only === undefined) return auto;
  if (callable.length > 1) return { callable, choice: { kind: 'required' } };
  return { callable, choice: { kind: 'named', name: only.tool.name } };
}

function names(given: unknown, { tool, wireName, namespace }: WireTool): boolean {
  const choice = fieldsOf(given);
  const inner = fieldsOf(choice?.['function']) ?? fieldsOf(choice?.['custom']);
  const name = choice?.['name'] ?? inner?.['name'];
  if (typeof name !== 'string') return false;
  return name === tool.name || name === wireName || name === namespace;
}

function addTool(tools: Map<string, WireTool>, given: unknown, namespace: string | null): void {
  const outer = fieldsOf(given);
  if (outer === null) return;
  const { type } = outer;
  // Chat completions keep a tool's fields under the name of its type.
  const tool = (type === 'function' || type === 'custom' ? fieldsOf(outer[type]) : null) ?? outer;
  const { name } = tool;
  if (typeof name !== 'string' || name === '') return;
  if (type === 'namespace' && namespace === null && Array.isArray(tool['tools'])) {
    for (const inner of tool['tools'] as readonly unknown[]) addTool(tools, inner, name);
    return;
  }
  if (type !== 'function' && type !== 'custom') return;
  const full = wireToolName(name, namespace);
  const description = typeof tool['description'] === 'string' ? tool['description'] : null;
  tools.delete(full); // the later one also takes its place in the list
  tools.set(full, {
    tool:
      type === 'custom'
        ? { kind: type, name: full, description, format: formatOf(tool['format']) }
        : {
            kind: type,
            name: full,
            description,
            parameters: tool['parameters'] ?? null,
            strict: tool['strict'] === true,
          },
    wireName: name,
    namespace,
  });
}

/** A grammar of a kind that we do not know leaves the text free. */
function formatOf(given: unknown): CustomFormat {
  const format = fieldsOf(given);
  if (format?.['type'] !== 'grammar') return { kind: 'text' };
  const grammar = fieldsOf(format['grammar']) ?? format;
  const { syntax, definition } = grammar;
  if ((syntax !== 'lark' && syntax !== 'regex') || typeof definition !== 'string') return { kind: 'text' };
  return { kind: syntax, definition };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : null;
}
