// How a model family writes a tool call, told by what its template makes of one. Hermes (Qwen, most others): JSON between tags, anywhere in the text.
// Llama 3: the answer is JSON from its first character on. Before it: the model's tokenizer; after it: call-parser.ts
// and call-grammar.ts, which must agree.
import { type ChatTemplate, ChatTemplateError } from '../../models/template/chat-template.ts';
import { deepseek, type ForeignSyntax, mistral, qwenXml } from './foreign-syntax.ts';

export interface ToolDialect {
  readonly name: 'hermes' | 'llama3';
  readonly open: string; // before the JSON of a call; '' if it begins the answer
  readonly close: string; // behind it
  readonly argumentsKey: 'arguments' | 'parameters';
}

export const hermes: ToolDialect = {
  name: 'hermes',
  open: '<tool_call>',
  close: '</tool_call>',
  argumentsKey: 'arguments',
};

export const llama3: ToolDialect = { name: 'llama3', open: '', close: '', argumentsKey: 'parameters' };

/** How this model writes calls: as we read and enforce them, as we only read them, or as we cannot. */
export type ToolSyntax =
  | { readonly kind: 'own'; readonly dialect: ToolDialect }
  | { readonly kind: 'foreign'; readonly syntax: ForeignSyntax }
  | { readonly kind: 'unknown' };

interface SyntaxModel {
  readonly chatTemplate: Pick<ChatTemplate, 'render'> | null;
  readonly tokenizer: { specialTokenId(text: string): number | null };
}

/**
 * By what the template makes of a call. Where it makes nothing of one, we write tools, calls and results ourselves, in
 * Hermes' form or, by the token that only Llama 3's tokenizers have, in Llama's.
 */
export function toolSyntaxOf({ chatTemplate, tokenizer }: SyntaxModel): ToolSyntax {
  const ours = tokenizer.specialTokenId('<|python_tag|>') === null ? hermes : llama3;
  const rendered = chatTemplate === null ? null : renderedCall(chatTemplate);
  if (rendered === null || !rendered.includes(PROBE)) return { kind: 'own', dialect: ours };
  const showsTools = takesTools(chatTemplate!);
  const foreign = foreignBy.find(({ mark }) => mark.test(rendered))?.syntax;
  if (foreign !== undefined && (showsTools || foreign.told !== null))
    return { kind: 'foreign', syntax: foreign };
  if (!showsTools) return { kind: 'own', dialect: ours };
  if (/<tool_call>\s*\{\s*"name"/.test(rendered)) return { kind: 'own', dialect: hermes };
  if (/\{\s*"name":\s*"probe_tool",\s*"parameters"/.test(rendered)) return { kind: 'own', dialect: llama3 };
  return { kind: 'unknown' };
}

/** The form of calls that we write: where a template has another one, it writes them itself. */
export function dialectOf(syntax: ToolSyntax): ToolDialect {
  return syntax.kind === 'own' ? syntax.dialect : hermes;
}

/** Whether the template renders tools itself. */
export function takesTools(template: Pick<ChatTemplate, 'render'>): boolean {
  const probe = {
    type: 'function',
    function: { name: 'probe', description: '', parameters: { type: 'object' } },
  };
  try {
    template.render([{ role: 'user', content: '' }], { addGenerationPrompt: true, tools: [probe] });
    return true;
  } catch (error) {
    if (error instanceof ChatTemplateError) return false;
    throw error;
  }
}

const PROBE = 'probe_tool';

const foreignBy = [
  { mark: /<function=probe_tool>/, syntax: qwenXml },
  { mark: /\[TOOL_CALLS\]/, syntax: mistral },
  { mark: /<｜tool▁call▁begin｜>/, syntax: deepseek },
];

/** null: the template takes no calls. */
function renderedCall(template: Pick<ChatTemplate, 'render'>): string | null {
  const called = { name: PROBE, arguments: { probe_key: 'probe_value' } };
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: '', tool_calls: [{ id: 'probe0000', type: 'function', function: called }] },
    { role: 'tool', content: 'b', name: PROBE, tool_call_id: 'probe0000' },
  ];
  const texts = messages.map((_, index) => {
    try {
      return template.render(messages.slice(0, index + 1), { addGenerationPrompt: false });
    } catch (error) {
      if (error instanceof ChatTemplateError) return null;
      throw error;
    }
  });
  return texts[2] ?? texts[1] ?? null;
}
