// Which of a request's fields an upstream understands, and in which words: OpenAI's own everywhere, vLLM's and llama-server's
// where the lanes file says that one of these answers. What it would not understand is refused by name, never left out
// silently; what asks for nothing is left out. Pure. Before it: chat-body.ts; after it: upstream/client.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { GrammarSource } from '../grammar/compiler.ts';
import type { UpstreamDialect } from '../lanes/lanes-file.ts';

type Fields = Readonly<Record<string, unknown>>;

const OPENAI_FIELDS = [
  ...['temperature', 'top_p', 'stop', 'seed', 'n', 'frequency_penalty', 'presence_penalty', 'logit_bias'],
  ...['prediction', 'user'],
  // Where a client says one of these, it knows what the upstream is.
  ...['reasoning_effort', 'chat_template_kwargs', 'continue_final_message', 'add_generation_prompt'],
];

const VLLM_FIELDS = [
  ...['top_k', 'min_p', 'repetition_penalty', 'min_tokens', 'ignore_eos', 'stop_token_ids', 'bad_words'],
  ...[
    'cache_salt',
    'allowed_token_ids',
    'include_stop_str_in_output',
    'skip_special_tokens',
    'truncate_prompt_tokens',
  ],
];

/** Our name → the upstream's, beside OpenAI's own. */
const EXTENSIONS: Readonly<Record<UpstreamDialect, Fields>> = {
  openai: {},
  vllm: Object.fromEntries(VLLM_FIELDS.map((name) => [name, name])),
  'llama-server': {
    ...{ top_k: 'top_k', min_p: 'min_p', repetition_penalty: 'repeat_penalty', ignore_eos: 'ignore_eos' },
  },
};

/** Values that ask for nothing: with them a field may stay behind. */
const IDLE: Readonly<Record<string, readonly unknown[]>> = {
  top_k: [0, -1],
  min_p: [0],
  repetition_penalty: [1],
  min_tokens: [0],
  ignore_eos: [false],
  include_stop_str_in_output: [false],
  skip_special_tokens: [true],
  separate_reasoning: [true],
  reasoning_format: ['auto', 'deepseek'],
};

// Read here, and not by an upstream.
const OWN_FIELDS = ['separate_reasoning', 'reasoning_format', 'prompt_logprobs'];

/** The fields of a request that go along; the first that cannot is the fault. */
export function upstreamFields(request: Fields, dialect: UpstreamDialect): Parsed<Fields> {
  const passed: Record<string, unknown> = {};
  const known = EXTENSIONS[dialect];
  for (const name of OPENAI_FIELDS) if (request[name] != null) passed[name] = request[name];
  for (const name of [...VLLM_FIELDS, ...OWN_FIELDS]) {
    const value = request[name];
    if (value == null || asksNothing(name, value)) continue;
    const theirs = known[name];
    if (theirs === undefined) return { ok: false, fault: unknownFault(name, dialect) };
    passed[theirs as string] = value;
  }
  const { enable_thinking: thinking, stream_options: stream, repeat_penalty: penalty } = request;
  if (penalty != null && penalty !== 1 && request['repetition_penalty'] == null) {
    const theirs = known['repetition_penalty'];
    if (theirs === undefined) return { ok: false, fault: unknownFault('repeat_penalty', dialect) };
    passed[theirs as string] = penalty;
  }
  if (thinking != null) {
    if (dialect === 'openai') return { ok: false, fault: unknownFault('enable_thinking', dialect) };
    passed['chat_template_kwargs'] = {
      ...(passed['chat_template_kwargs'] as object | undefined),
      enable_thinking: thinking,
    };
  }
  if ((stream as Fields | null | undefined)?.['continuous_usage_stats'] === true)
    return { ok: false, fault: unknownFault('stream_options.continuous_usage_stats', dialect) };
  return { ok: true, value: passed };
}

/** The form of an answer, beside `response_format`, which goes along as it is. */
export function upstreamForm(
  { text, textParam }: { readonly text: GrammarSource | null; readonly textParam: string },
  dialect: UpstreamDialect,
): Parsed<Fields> {
  if (text === null) return { ok: true, value: {} };
  const written = FORMS[dialect](text);
  return written === null
    ? { ok: false, fault: unknownFault(textParam, dialect) }
    : { ok: true, value: written };
}

const FORMS: Readonly<Record<UpstreamDialect, (source: GrammarSource) => Fields | null>> = {
  openai: (source) => {
    if (source.kind === 'json-object') return { response_format: { type: 'json_object' } };
    if (source.kind !== 'json-schema') return null;
    const json_schema = { name: 'answer', schema: source.schema, strict: true };
    return { response_format: { type: 'json_schema', json_schema } };
  },
  vllm: (source) => {
    if (source.kind === 'json-schema') return { structured_outputs: { json: source.schema } };
    if (source.kind === 'json-object') return { structured_outputs: { json_object: true } };
    if (source.kind === 'regex') return { structured_outputs: { regex: source.pattern } };
    if (source.kind === 'choice') return { structured_outputs: { choice: source.texts } };
    return { structured_outputs: { grammar: source.definition } };
  },
  'llama-server': (source) => {
    if (source.kind === 'json-schema') return { json_schema: source.schema };
    if (source.kind === 'json-object') return { response_format: { type: 'json_object' } };
    if (source.kind === 'gbnf') return { grammar: source.definition };
    // A string of GBNF knows the escapes that JSON has.
    if (source.kind === 'choice')
      return { grammar: `root ::= ${source.texts.map((text) => JSON.stringify(text)).join(' | ')}` };
    return null;
  },
};

function asksNothing(name: string, value: unknown): boolean {
  return (IDLE[name] ?? []).includes(value) || (Array.isArray(value) && value.length === 0);
}

function unknownFault(name: string, dialect: UpstreamDialect): Fault {
  const own = OWN_FIELDS.includes(name) || name.startsWith('stream_options');
  const message = own
    ? `${name}: the lane's upstream answers, whose tokens and prompt are not known here`
    : `${name}: the lane's upstream speaks ${dialect}'s words (lanes file: upstream.dialect), which have none for it`;
  return fault('unsupported', message, { param: name });
}
