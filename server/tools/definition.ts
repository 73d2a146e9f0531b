// What a tool is, apart from any API's spelling: a function with a JSON schema, or a custom tool whose input is text.
// The routes make these of their requests; everything else in server/tools takes them.

export interface FunctionTool {
  readonly kind: 'function';
  readonly name: string;
  readonly description: string | null;
  readonly parameters: unknown; // JSON schema of an object; null or undefined: no parameters
  readonly strict: boolean; // refuse the request where the schema cannot be enforced in full
}

export interface CustomTool {
  readonly kind: 'custom';
  readonly name: string;
  readonly description: string | null;
  readonly format: CustomFormat;
}

export type CustomFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'lark' | 'regex'; readonly definition: string };

export type Tool = FunctionTool | CustomTool;

/** auto: text or calls; required: at least one call; named: exactly one call of that tool. */
export type ToolChoice =
  | { readonly kind: 'auto' | 'required' | 'none' }
  | { readonly kind: 'named'; readonly name: string };

/** Custom tools are shown to models as functions of one text. Their grammar is told, since it must be met. */
export function asFunction(tool: Tool): { name: string; description: string; parameters: unknown } {
  if (tool.kind === 'function') {
    const parameters = tool.parameters ?? { type: 'object', properties: {} };
    return { name: tool.name, description: tool.description ?? '', parameters };
  }
  const { format } = tool;
  const grammar =
    format.kind === 'text' ? '' : ` The input must match this ${format.kind} grammar:\n${format.definition}`;
  return {
    name: tool.name,
    description: `${tool.description ?? ''}${grammar}`.trim(),
    parameters: {
      type: 'object',
      properties: { [customInputKey]: { type: 'string' } },
      required: [customInputKey],
    },
  };
}

/** The one argument of a custom tool. */
export const customInputKey = 'input';
