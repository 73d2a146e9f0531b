// A conversation → the text that the model was trained to continue, by the Jinja template its directory brings.
// Owns what a template may see: of the time only what it is given, and prints (strftime_now). Before it: the chat routes
// and server/sessions/session.ts; after it: tokenizer/tokenizer.ts.
import { join } from 'node:path';
import { z } from 'zod';
import { CheckpointError, readOptionalJson, readTextFile } from '../files/model-file.ts';
import { Template } from '../jinja/template.ts';
import { escapeForRegExp, TextGuard } from '../tokenizer/text-guard.ts';
import { partText } from './content-part.ts';
import { type ReasoningMarks, reasoningMarksOf } from './reasoning-marks.ts';
import { PROBE, roleProbes } from './role-probes.ts';

/** A message as OpenAI's clients write it; further fields (`tool_calls`, `tool_call_id`, …) go to the template. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly ChatPart[] | null;
  readonly [field: string]: unknown;
}

/** Text, or something that leaves a note (content-part.ts). */
export interface ChatPart {
  readonly type: string;
  readonly text?: string;
  readonly [field: string]: unknown;
}

export interface RenderOptions {
  readonly addGenerationPrompt: boolean; // end with the opening of an assistant's turn
  readonly tools?: readonly unknown[];
  readonly continueFinal?: boolean; // end within the last message, an assistant's, as far as it goes
  readonly variables?: Readonly<Record<string, unknown>>; // the template's own, such as enable_thinking
}

/** The added tokens of the tokenizer that encodes what is rendered. */
export interface TemplateTokens {
  readonly controlTexts: readonly string[];
  readonly addedTexts: readonly string[];
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

const noTokens: TemplateTokens = { controlTexts: [], addedTexts: [] };

export class ChatTemplate {
  readonly reasoning: ReasoningMarks | null;
  readonly source: string; // as its author wrote it; the one for tools where there are two
  readonly #plain: CompiledTemplate;
  readonly #withTools: CompiledTemplate; // the same, unless the directory brings one of its own
  readonly #tokens: Readonly<Record<string, string>>; // bos_token, …
  readonly #now: (() => Date) | null;
  readonly #guard: TextGuard; // of what callers say
  readonly #answerGuard: TextGuard; // of what the model said: templates look for its reasoning

  /**
   * Reads `chat_template.jinja`, or `chat_template` in `tokenizer_config.json`; null when there is neither. `now` is the
   * time that a template may print; without it, its own date stands. Throws CheckpointError when a template does not parse.
   */
  static load(
    directory: string,
    added: TemplateTokens = noTokens,
    now: (() => Date) | null = null,
  ): ChatTemplate | null {
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
      return new ChatTemplate({ plain: only, withTools: only, tokens, added, now });
    }
    const templates = config?.chat_template;
    if (templates == null) return null;
    const where = { file: configFile, field: 'chat_template' };
    if (typeof templates === 'string') {
      const only = compile(templates, where);
      return new ChatTemplate({ plain: only, withTools: only, tokens, added, now });
    }
    const named = new Map(templates.map(({ name, template }) => [name, template]));
    const plain = named.get('default');
    if (plain === undefined) throw new CheckpointError('has no template named "default"', where);
    return new ChatTemplate({
      plain: compile(plain, where),
      withTools: compile(named.get('tool_use') ?? plain, where),
      tokens,
      added,
      now,
    });
  }

  /** From texts out of one file. Throws CheckpointError with its `field` when they do not parse. */
  static of(parts: {
    readonly plain: string;
    readonly withTools: string;
    readonly tokens: Readonly<Record<string, string>>;
    readonly added: TemplateTokens;
    readonly now: (() => Date) | null;
    readonly file: string;
    readonly field: string;
  }): ChatTemplate {
    const plain = compile(parts.plain, parts);
    const withTools = parts.withTools === parts.plain ? plain : compile(parts.withTools, parts);
    return new ChatTemplate({ ...parts, plain, withTools });
  }

  /** One template for everything, without a directory. Throws CheckpointError. */
  static parse(
    text: string,
    added: TemplateTokens = noTokens,
    tokens: Readonly<Record<string, string>> = {},
  ): ChatTemplate {
    const only = compile(text, { file: 'chat template', field: null });
    return new ChatTemplate({ plain: only, withTools: only, tokens, added });
  }

  constructor(parts: {
    readonly plain: CompiledTemplate;
    readonly withTools: CompiledTemplate;
    readonly tokens: Readonly<Record<string, string>>;
    readonly added?: TemplateTokens;
    readonly now?: (() => Date) | null;
  }) {
    const { controlTexts, addedTexts } = parts.added ?? noTokens;
    this.#plain = parts.plain;
    this.#withTools = parts.withTools;
    this.#tokens = parts.tokens;
    this.#now = parts.now ?? null;
    this.source = parts.withTools.source;
    this.reasoning = reasoningMarksOf(this.source, addedTexts);
    const sources = parts.plain.source + parts.withTools.source;
    const written = addedTexts.filter((text) => /^[<[]\S+$/.test(text) && sources.includes(text));
    const guarded = [...controlTexts, ...written];
    this.#guard = new TextGuard(guarded);
    const { open, close } = this.reasoning ?? { open: '', close: '' };
    this.#answerGuard = new TextGuard(guarded.filter((text) => text !== open && text !== close));
  }

  /** Whether the template looks at a variable of this name. */
  reads(name: string): boolean {
    return new RegExp(`\\b${escapeForRegExp(name)}\\b`).test(this.#withTools.source);
  }

  /** The prompt's text, control tokens written out, callers' texts guarded (tokenizer/text-guard.ts). Throws ChatTemplateError. */
  render(messages: readonly ChatMessage[], options: RenderOptions): string {
    const hasTools = options.tools !== undefined && options.tools.length > 0;
    const template = hasTools ? this.#withTools : this.#plain;
    if (hasTools && !template.takesTools) {
      throw new ChatTemplateError("tools: this model's chat template takes none");
    }
    const callForm = messages.some(hasCalls) ? this.#callForm(template) : callForms[0]!;
    const prepared = messages.map((message, index) => prepareMessage(message, { index, template, callForm }));
    const unknown = prepared.findIndex(({ role }) => !this.#knowsRole(template, role as string));
    if (unknown >= 0) {
      const role = JSON.stringify(prepared[unknown]!['role']);
      throw new ChatTemplateError(`messages[${unknown}].role: this model's chat template leaves out ${role}`);
    }
    const variables = {
      ...this.#variables(options),
      tools: hasTools ? this.#guard.deep(options.tools) : null,
    };
    const guarded = prepared.map((message) => this.#guarded(message));
    if (options.continueFinal !== true) return this.#run(template, guarded, variables);
    return upToMark(this.#run(template, withFinalMark(guarded), variables));
  }

  #guarded(message: Prepared): Prepared {
    return (message['role'] === 'assistant' ? this.#answerGuard : this.#guard).deep(message) as Prepared;
  }

  #variables({ addGenerationPrompt, variables = {} }: RenderOptions): Record<string, unknown> {
    for (const name of Object.keys(variables)) {
      if (ownVariables.has(name) || !this.reads(name)) {
        const why = ownVariables.has(name)
          ? 'is not for callers'
          : "is nothing that this model's template reads";
        throw new ChatTemplateError(`chat_template_kwargs.${name}: ${why}`);
      }
    }
    // None, not undefined, as transformers does.
    const given = this.#guard.deep(variables) as Record<string, unknown>;
    return { documents: null, ...given, ...this.#tokens, add_generation_prompt: addGenerationPrompt };
  }

  #run(
    template: CompiledTemplate,
    messages: readonly Prepared[],
    variables: Readonly<Record<string, unknown>>,
  ): string {
    try {
      return template.compiled.render({ ...variables, messages }, this.#now);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ChatTemplateError(`messages: the model's chat template refuses them: ${reason}`, {
        cause: error,
      });
    }
  }

  /** Some templates show calls only beside no content at all, or only with arguments as text: the first that does. */
  #callForm(template: CompiledTemplate): CallForm {
    const variables = { ...this.#variables({ addGenerationPrompt: false }), tools: null };
    const shows = ({ content, asText }: CallForm): boolean => {
      const given = { [PROBE]: PROBE };
      const called = { name: PROBE, arguments: asText ? JSON.stringify(given) : given };
      const call = { id: 'probe0000', type: 'function', function: called };
      const messages = [
        { role: 'user', content: 'a' },
        { role: 'assistant', content, tool_calls: [call] },
      ];
      try {
        return this.#run(template, messages, variables).includes(PROBE);
      } catch (error) {
        if (error instanceof ChatTemplateError) return false;
        throw error;
      }
    };
    template.callForm ??= callForms.find(shows) ?? callForms[0]!;
    return template.callForm;
  }

  /** A role that some conversation shows the text of, or that the template refuses by itself. */
  #knowsRole(template: CompiledTemplate, role: string): boolean {
    if (role === 'user' || role === 'assistant') return true;
    const known = template.roles.get(role);
    if (known !== undefined) return known;
    const variables = { ...this.#variables({ addGenerationPrompt: false }), tools: null };
    let shown = false;
    let dropped = false;
    for (const messages of roleProbes(role)) {
      try {
        const text = this.#run(template, messages, variables);
        if (text.includes(PROBE)) shown = true;
        else dropped = true;
      } catch (error) {
        if (!(error instanceof ChatTemplateError)) throw error;
      }
    }
    const outcome = shown || !dropped;
    if (template.roles.size < ROLES_KEPT_MAX) template.roles.set(role, outcome);
    return outcome;
  }
}

type Prepared = Readonly<Record<string, unknown>>;

/** How a template wants an assistant's calls: beside which content where there is no text, and with which arguments. */
interface CallForm {
  readonly content: '' | null;
  readonly asText: boolean; // arguments as JSON text
}

const callForms: readonly CallForm[] = [
  { content: '', asText: false },
  { content: null, asText: false },
  { content: '', asText: true },
  { content: null, asText: true },
];

function hasCalls(message: ChatMessage): boolean {
  return Array.isArray(message['tool_calls']) && message['tool_calls'].length > 0;
}

const ROLES_KEPT_MAX = 16;

const ownVariables: ReadonlySet<string> = new Set([
  ...['messages', 'tools', 'add_generation_prompt', 'continue_final_message', 'strftime_now'],
  ...['raise_exception', 'range', 'namespace', ...tokenNames],
]);

// Where the last message ends. The space shows whether the template trims.
const FINAL_MARK = '\uf4f5';

function withFinalMark(messages: readonly Prepared[]): readonly Prepared[] {
  const last = messages.at(-1);
  if (last?.['role'] !== 'assistant' || last['tool_calls'] !== undefined) {
    throw new ChatTemplateError(
      `messages[${messages.length - 1}]: only an assistant's text can be continued (continue_final_message)`,
    );
  }
  return [...messages.slice(0, -1), { ...last, content: `${String(last['content'])}${FINAL_MARK} ` }];
}

function upToMark(rendered: string): string {
  const at = rendered.lastIndexOf(FINAL_MARK);
  if (at < 0) {
    throw new ChatTemplateError(
      "messages: this model's chat template changes the last one: it cannot be continued",
    );
  }
  const text = rendered.slice(0, at);
  return rendered[at + 1] === ' ' ? text : text.trimEnd(); // as transformers does
}

interface CompiledTemplate {
  readonly compiled: Template;
  readonly source: string;
  readonly roles: Map<string, boolean>; // known or not, as far as asked for
  readonly takesTools: boolean;
  readonly takesToolCalls: boolean;
  callForm: CallForm | null; // null: not asked yet
}

function compile(text: string, where: { file: string; field: string | null }): CompiledTemplate {
  try {
    return {
      compiled: new Template(text),
      source: text,
      roles: new Map(),
      takesTools: /\btools\b/.test(text),
      takesToolCalls: /\btool_calls\b/.test(text),
      callForm: null,
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`does not parse: ${reason}`, { ...where, cause: error });
  }
}

function prepareMessage(
  message: ChatMessage,
  at: { index: number; template: CompiledTemplate; callForm: CallForm },
): Prepared {
  const field = `messages[${at.index}]`;
  const { content, tool_calls: toolCalls, ...rest } = message;
  const text = flatten(content, `${field}.content`);
  if (!hasCalls(message)) return { ...rest, content: text };
  if (!at.template.takesToolCalls) {
    throw new ChatTemplateError(`${field}.tool_calls: this model's chat template takes none`);
  }
  const calls = (toolCalls as readonly unknown[]).map((call, index) => {
    const parsed = parseArguments(call, `${field}.tool_calls[${index}]`);
    return at.callForm.asText ? withTextArguments(parsed) : parsed;
  });
  return { ...rest, content: text === '' ? at.callForm.content : text, tool_calls: calls };
}

function withTextArguments(call: unknown): unknown {
  const { function: called, ...rest } = call as { readonly function: { readonly arguments?: unknown } };
  return { ...rest, function: { ...called, arguments: JSON.stringify(called.arguments ?? {}) } };
}

/** Templates of text models expect a string. Parts are joined by newlines, as other servers do. */
function flatten(content: unknown, field: string): string {
  if (typeof content === 'string') return content;
  if (content == null) return ''; // an assistant's turn of tool calls only
  if (!Array.isArray(content)) {
    throw new ChatTemplateError(`${field}: expected a string or an array of text parts`);
  }
  const texts = content.map((part: unknown, index) => {
    const text = partText(part);
    if (text !== null) return text;
    throw new ChatTemplateError(`${field}[${index}]: a part of a type that is not known`);
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
