// Cases of the law: what one caller asks, drawn from a seed out of every feature that a request can have. A case is
// plain data and says all of itself (seed, lengths), so that the same case asked of any
// server has one right answer. Before it: run.ts; after it: ask.ts sends them.
import type { Random } from '../../kernels/random.ts';

export interface HttpCase {
  readonly kind: 'http';
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Requests that go on from each other's answers: messages that grow, or `previous_response_id`. */
export interface ThreadCase {
  readonly kind: 'thread';
  readonly path: '/v1/chat/completions' | '/v1/responses';
  readonly turns: readonly { readonly text: string; readonly body: Readonly<Record<string, unknown>> }[];
}

export interface NativeTurn {
  readonly text: string;
  readonly edit: { readonly start: number; readonly count: number; readonly text: string } | null; // before the question
  readonly forks: boolean; // the question is asked of a copy, and the original goes on without it
  readonly question: Readonly<Record<string, unknown>>;
}

/** A session that is opened, told and asked in turn; each turn finds the KV of those before it. */
export interface NativeCase {
  readonly kind: 'native';
  readonly sampling: Readonly<Record<string, number>>;
  readonly turns: readonly NativeTurn[];
}

export type LawCase = HttpCase | ThreadCase | NativeCase;

export interface DrawOptions {
  readonly contextTokens: number; // no prompt comes near it
  readonly vocabSize: number;
}

/** The `index`-th of a run: every kind comes by turns, everything else by chance. */
export function drawCase(random: Random, index: number, options: DrawOptions): LawCase {
  switch (kinds[index % kinds.length]) {
    case 'completion':
      return completion(random, options);
    case 'chat':
      return chat(random, options, {});
    case 'form':
      return chat(random, options, { response_format: pick(random, forms) });
    case 'tools':
      return chat(random, options, toolFields(random));
    case 'responses':
      return responses(
        random,
        options,
        maybe(random, 0.7, () => ({ text: { format: pick(random, responseForms) } })),
      );
    case 'response-tools':
      return responses(random, options, {
        tools: tools.map(({ function: tool }) => ({ type: 'function', ...tool })),
        tool_choice: pick(random, ['auto', 'required']),
      });
    case 'infill':
      return infill(random);
    case 'thread':
      return thread(random, options);
    default:
      return native(random, options);
  }
}

const kinds = [
  ...['form', 'completion', 'tools', 'native', 'form', 'chat', 'responses', 'completion'],
  ...['infill', 'response-tools', 'form', 'native', 'thread'],
] as const;

function completion(random: Random, options: DrawOptions): HttpCase {
  const body = {
    prompt: prompt(random, options),
    max_tokens: random.integer(1, 24),
    return_token_ids: true,
    ...sampling(random, options),
    ...maybe(random, 0.5, () => ({ logprobs: random.integer(0, 5) })),
    ...maybe(random, 0.1, () => ({ suffix: '\n}\n' })),
  };
  return { kind: 'http', path: '/v1/completions', body };
}

function chat(random: Random, options: DrawOptions, form: Readonly<Record<string, unknown>>): HttpCase {
  const body = {
    messages: messages(random, options),
    max_tokens: random.integer(1, 'tools' in form ? 40 : 24),
    return_token_ids: true,
    ...sampling(random, options),
    ...form,
    ...maybe(random, 0.2, () => ({ prediction: { type: 'content', content: words(random, 12) } })),
    ...maybe(random, 0.6, () => ({ logprobs: true, top_logprobs: random.integer(0, 5) })),
  };
  return { kind: 'http', path: '/v1/chat/completions', body };
}

function thread(random: Random, options: DrawOptions): ThreadCase {
  const path = pick(random, ['/v1/chat/completions', '/v1/responses'] as const);
  const most = path === '/v1/responses' ? 'max_output_tokens' : 'max_tokens';
  const turns = Array.from({ length: random.integer(2, 3) }, () => {
    const { n: _, ...body } = sampling(random, options) as Record<string, unknown>;
    return { text: words(random, random.integer(2, 20)), body: { ...body, [most]: random.integer(1, 24) } };
  });
  return { kind: 'thread', path, turns };
}

function infill(random: Random): HttpCase {
  const body = {
    input_prefix: words(random, random.integer(1, 20)),
    input_suffix: words(random, 4),
    n_predict: random.integer(1, 20),
    temperature: temperature(random),
    seed: random.seed(),
  };
  return { kind: 'http', path: '/infill', body };
}

function responses(random: Random, options: DrawOptions, form: object): HttpCase {
  const fields: Record<string, unknown> = sampling(random, options);
  delete fields['n']; // a response is one
  const body = {
    input: words(random, random.integer(2, 20)),
    max_output_tokens: random.integer(1, 24),
    store: random.next() < 0.5,
    ...fields,
    ...form,
  };
  return { kind: 'http', path: '/v1/responses', body };
}

function native(random: Random, options: DrawOptions): NativeCase {
  const turns = Array.from({ length: random.integer(1, 3) }, () => ({
    text: prompt(random, { ...options, contextTokens: options.contextTokens / 3 }),
    edit: random.next() < 0.2 ? { start: 1, count: random.integer(0, 1), text: words(random, 3) } : null,
    forks: random.next() < 0.2,
    question: {
      maxTokens: random.integer(1, 20),
      seed: random.seed(),
      logprobs: random.integer(0, 5),
      ...maybe(random, 0.5, () => ({ speculation: random.next() < 0.5 })),
      ...maybe(random, 0.2, () => ({ ignoreStopTokens: true })),
      ...maybe(random, 0.2, () => ({ logitBias: [[random.integer(0, options.vocabSize - 1), 5]] })),
      ...maybe(random, 0.2, () => ({ stop: [pick(random, stops)] })),
    },
  }));
  const sampled = {
    temperature: temperature(random),
    ...maybe(random, 0.3, () => ({ minP: 0.05 })),
    ...maybe(random, 0.3, () => ({ topK: random.integer(1, 50) })),
    repetitionPenalty: random.next() < 0.7 ? 1 : 1.2,
  };
  return { kind: 'native', sampling: sampled, turns };
}

// A seed where there is a draw; guesses are made wherever the server likes, and must not show.
function sampling(random: Random, { vocabSize }: DrawOptions) {
  const wish = maybe(random, 0.5, () => ({ speculation: random.next() < 0.5 }));
  if (random.next() < 0.4) {
    const isGreedy = random.next() < 0.7;
    const seed = isGreedy && random.next() < 0.5 ? {} : { seed: random.seed() };
    // Whatever the model's author advises.
    return { ...seed, ...wish, temperature: isGreedy ? 0 : 1, repetition_penalty: 1 };
  }
  return {
    seed: random.seed(),
    ...wish,
    temperature: temperature(random),
    ...maybe(random, 0.2, () => ({ n: random.integer(2, 3) })),
    ...maybe(random, 0.25, () => ({ top_p: 0.2 + 0.8 * random.next() })),
    ...maybe(random, 0.25, () => ({ top_k: random.integer(1, 60) })),
    ...maybe(random, 0.25, () => ({ min_p: 0.2 * random.next() })),
    ...maybe(random, 0.2, () => ({ repetition_penalty: pick(random, [0.01, 0.8, 1.1, 1.3, 100]) })),
    ...maybe(random, 0.2, () => ({ frequency_penalty: 4 * random.next() - 2 })),
    ...maybe(random, 0.2, () => ({ presence_penalty: 4 * random.next() - 2 })),
    ...maybe(random, 0.2, () => ({ logit_bias: bias(random, vocabSize) })),
    ...maybe(random, 0.15, () => ({ stop: [pick(random, stops), pick(random, stops)] })),
    ...maybe(random, 0.15, () => ({ ignore_eos: true })),
    ...maybe(random, 0.1, () => ({ min_tokens: 1 })),
  };
}

function temperature(random: Random): number {
  return random.next() < 0.5 ? 0 : pick(random, [1e-38, 0.01, 0.4, 0.7, 1, 1, 1.6, 100]);
}

function bias(random: Random, vocabSize: number): Record<string, number> {
  const entries = Array.from({ length: random.integer(1, 5) }, () => [
    `${random.integer(0, vocabSize - 1)}`,
    pick(random, [-100, -5, 3, 8, 100]),
  ]);
  return Object.fromEntries(entries);
}

function prompt(random: Random, { contextTokens }: DrawOptions): string {
  const length = pick(random, [2, 2, 12, 12, 40, 150]);
  const start = random.next() < 0.4 ? sharedStart : '';
  return `${start}${words(random, Math.min(length, Math.floor(contextTokens / 6)))}`;
}

function messages(random: Random, options: DrawOptions) {
  const turn = { role: 'user', content: prompt(random, options) };
  if (random.next() < 0.7) return [turn];
  const before = [
    { role: 'system', content: 'You edit code.' },
    { role: 'user', content: words(random, 5) },
    { role: 'assistant', content: words(random, 8) },
  ];
  return [...before, turn];
}

function words(random: Random, count: number): string {
  return Array.from({ length: count }, () => pick(random, vocabulary)).join(' ');
}

function toolFields(random: Random) {
  const named = { type: 'function', function: { name: 'read_file' } };
  return {
    tools,
    tool_choice: pick<unknown>(random, ['auto', 'auto', 'required', named]),
    ...maybe(random, 0.3, () => ({ parallel_tool_calls: false })),
  };
}

export function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.integer(0, values.length - 1)]!;
}

function maybe<T extends object>(random: Random, chance: number, fields: () => T): T | object {
  return random.next() < chance ? fields() : {};
}

const sharedStart =
  'import { readFile } from "node:fs/promises";\n// the reader of all that lies on disk\n'.repeat(2);
const stops = ['.', '\n', ';', 'the', '}', '"'];
const vocabulary =
  'const let function return number string parse the file reader of a list = ( ) { } => await x value if error throw new Map é 🙂 for i in 0 1 42 // note'.split(
    ' ',
  );

const personSchema = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer' } },
  required: ['name', 'age'],
  additionalProperties: false,
};
const schemas = [
  personSchema,
  { type: 'array', items: { enum: ['red', 'green', 'blue'] }, minItems: 1, maxItems: 4 },
  {
    anyOf: [
      { type: 'boolean' },
      { type: 'object', properties: { id: { type: 'number' } }, required: ['id'] },
    ],
  },
];
const forms = [
  { type: 'json_object' },
  ...schemas.map((schema) => ({ type: 'json_schema', json_schema: { name: 'form', schema } })),
];
const responseForms = [
  { type: 'json_schema', name: 'form', schema: personSchema },
  { type: 'grammar', syntax: 'lark', definition: 'start: ("yes" | "no") " " /[a-z]{1,6}/' },
  { type: 'grammar', syntax: 'regex', definition: '[0-9]{1,3}(-[0-9]{1,3})*' },
];
const tools = [
  {
    type: 'function',
    function: {
      name: 'read_file',
      parameters: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] },
    },
  },
  { type: 'function', function: { name: 'stop_now', parameters: { type: 'object', properties: {} } } },
];
