// A conversation → the text that the model was trained to continue, by the Jinja template its directory brings.
// Owns what a template may see; never looks at the clock, so that equal conversations give equal prompts (and
// cached prefixes stay valid overnight). Before it: the chat routes and server/session.ts; after it: tokenizer.ts.
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { z } from 'zod';
import { CheckpointError, readOptionalJson, readTextFile } from './model-file.ts';

/** A message as OpenAI's clients write it; further fields (`tool_calls`, `tool_call_id`, …) go to the template. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly ChatPart[] | null;
  readonly [field: string]: unknown;
}

/** Only `{ type: 'text', text }` can be rendered. */
export interface ChatPart {
  readonly type: string;
  readonly text?: string;
  readonly [field: string]: unknown;
}

export interface RenderOptions {
  readonly addGenerationPrompt: boolean; // end with the opening of an assistant's turn
  readonly tools?: readonly unknown[];
}

/** A conversation that this model's template cannot take. The message names the field where it is known. */
export class ChatTemplateError extends Error {
  override readonly name = 'ChatTemplateError';
}

const specialToken = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish();
const configSchema = z.looseObject({
  chat_template: z
    .union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))])
    .nullish(),
  bos_token: specialToken,
  eos_token: specialToken,
  pad_token: specialToken,
  unk_token: specialToken,
});
const tokenNames = ['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const;

export class ChatTemplate {
  readonly #plain: CompiledTemplate;
  readonly #withTools: CompiledTemplate; // the same, unless the directory brings one of its own
  readonly #tokens: Readonly<Record<string, string>>; // bos_token, …

  /**
   * Reads `chat_template.jinja`, or `chat_template` in `tokenizer_config.json`; null when there is neither. Throws
   * CheckpointError when a template does not parse.
   */
  static load(directory: string): ChatTemplate | null {
    const configFile = join(directory, 'tokenizer_config.json');
    const config = readOptionalJson(configFile, configSchema);
    const tokens: Record<string, string> = {};
    for (const name of tokenNames) {
      const token = config?.[name];
      if (token != null) tokens[name] = typeof token === 'string' ? token : token.content;
    }
    const templateFile = join(directory, 'chat_template.jinja');
    const text = readTextFile(templateFile);
    if (text !== null) {
      const only = compile(text, { file: templateFile, field: null });
      return new ChatTemplate({ plain: only, withTools: only, tokens });
    }
    const templates = config?.chat_template;
    if (templates == null) return null;
    const where = { file: configFile, field: 'chat_template' };
    if (typeof templates === 'string') {
      const only = compile(templates, where);
      return new ChatTemplate({ plain: only, withTools: only, tokens });
    }
    const named = new Map(templates.map(({ name, template }) => [name, template]));
    const plain = named.get('default');
    if (plain === undefined) throw new CheckpointError('has no template named "default"', where);
    return new ChatTemplate({
      plain: compile(plain, where),
      withTools: compile(named.get('tool_use') ?? plain, where),
      tokens,
    });
  }

  constructor(parts: {
    readonly plain: CompiledTemplate;
    readonly withTools: CompiledTemplate;
    readonly tokens: Readonly<Record<string, string>>;
  }) {
    this.#plain = parts.plain;
    this.#withTools = parts.withTools;
    this.#tokens = parts.tokens;
  }

  /** The prompt's text, special tokens written out. Throws ChatTemplateError. */
  render(messages: readonly ChatMessage[], options: RenderOptions): string {
    const hasTools = options.tools !== undefined && options.tools.length > 0;
    const template = hasTools ? this.#withTools : this.#plain;
    if (hasTools && !template.takesTools) {
      throw new ChatTemplateError("tools: this model's chat template takes none");
    }
    const prepared = messages.map((message, index) => prepareMessage(message, { index, template }));
    try {
      return template.compiled.render({
        ...this.#tokens,
        messages: prepared,
        add_generation_prompt: options.addGenerationPrompt,
        tools: hasTools ? options.tools : null, // none, not undefined: as transformers does
        documents: null,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ChatTemplateError(`messages: the model's chat template refuses them: ${reason}`, {
        cause: error,
      });
    }
  }
}

interface CompiledTemplate {
  readonly compiled: Template;
  readonly takesTools: boolean;
  readonly takesToolCalls: boolean;
}

function compile(text: string, where: { file: string; field: string | null }): CompiledTemplate {
  try {
    return {
      // Hides the package's clock: templates that ask whether it is there fall back to a fixed date.
      compiled: new Template(`{% set strftime_now = undefined %}\n${text}`),
      takesTools: /\btools\b/.test(text),
      takesToolCalls: /\btool_calls\b/.test(text),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`does not parse: ${reason}`, { ...where, cause: error });
  }
}

function prepareMessage(
  message: ChatMessage,
  at: { index: number; template: CompiledTemplate },
): Record<string, unknown> {
  const field = `messages[${at.index}]`;
  const { content, tool_calls: toolCalls, ...rest } = message;
  const prepared: Record<string, unknown> = { ...rest, content: flatten(content, `${field}.content`) };
  if (Array.isArray(toolCalls) && toolCalls.length > 0) {
    if (!at.template.takesToolCalls) {
      throw new ChatTemplateError(`${field}.tool_calls: this model's chat template takes none`);
    }
    prepared['tool_calls'] = toolCalls.map((call, index) =>
      parseArguments(call, `${field}.tool_calls[${index}]`),
    );
  }
  return prepared;
}

/** Templates of text models expect a string. Parts are joined by newlines, as other servers do. */
function flatten(content: unknown, field: string): string {
  if (typeof content === 'string') return content;
  if (content == null) return ''; // an assistant's turn of tool calls only
  if (!Array.isArray(content)) {
    throw new ChatTemplateError(`${field}: expected a string or an array of text parts`);
  }
  const texts = content.map((part: unknown, index) => {
    if (typeof part === 'object' && part !== null && 'type' in part && part.type === 'text') {
      if ('text' in part && typeof part.text === 'string') return part.text;
    }
    throw new ChatTemplateError(`${field}[${index}]: only parts { type: 'text', text } are supported`);
  });
  return texts.join('\n');
}

/** OpenAI's clients send a call's arguments as JSON text; templates print the object. */
function parseArguments(call: unknown, field: string): unknown {
  const { function: called, ...rest } = (call ?? {}) as Record<string, unknown>;
  if (typeof called !== 'object' || called === null) {
    throw new ChatTemplateError(`${field}.function: expected an object`);
  }
  if (!('arguments' in called) || typeof called.arguments !== 'string') return call;
  try {
    const parsed: unknown = JSON.parse(called.arguments || '{}');
    return { ...rest, function: { ...called, arguments: parsed } };
  } catch (error) {
    throw new ChatTemplateError(`${field}.function.arguments: expected JSON`, { cause: error });
  }
}
