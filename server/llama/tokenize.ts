// POST /tokenize and /detokenize, in the shapes of the two servers that clients know: llama-server (`content`) and
// vLLM (`prompt` or `messages`, `count`). Before it: http/door.ts; after it: the tokenizer.
import { z } from 'zod';
import { fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { chatPrompt } from '../chat/chat-prompt.ts';
import type { ChatService } from '../chat/chat-service.ts';
import { forTemplate, MESSAGE_COUNT_MAX, messageSchema } from '../chat/message.ts';
import { promptFields, promptOptions } from '../chat/prompt-options.ts';
import { toolSetOf } from '../chat/tool-set.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import { strayFault, tokenIds } from '../text/token-ids.ts';

const table = routesIn('tokens');

const tokenizeSchema = z.object({
  content: z.string().nullish(), // llama-server
  prompt: z.string().nullish(), // vLLM
  messages: z.array(messageSchema).max(MESSAGE_COUNT_MAX).nullish(), // vLLM, as are the fields of its prompt
  tools: z.array(z.looseObject({ type: z.string() })).nullish(),
  ...promptFields,
  add_special: z.boolean().nullish(), // llama-server; default false
  add_special_tokens: z.boolean().nullish(), // vLLM; default true
  with_pieces: z.boolean().nullish(), // llama-server
  return_token_strs: z.boolean().nullish(), // vLLM
});

const detokenizeSchema = z.object({ tokens: tokenIds({ empty: true }) });

export function tokenizeRoutes(service: ChatService): readonly Route[] {
  return [
    table.posted(
      '/tokenize',
      { summary: 'Text or messages to token ids', body: tokenizeSchema },
      (call, body) => answer(call, tokenized(body, service)),
    ),
    table.posted(
      '/detokenize',
      { summary: 'Token ids to text', body: detokenizeSchema },
      (call, { tokens }) => answer(call, detokenized(tokens, service)),
    ),
  ];
}

type TokenizeRequest = z.output<typeof tokenizeSchema>;

function tokenized(body: TokenizeRequest, service: ChatService): Parsed<string> {
  const { model, generator } = service;
  const encoded = tokensOf(body, service);
  if (!encoded.ok) return encoded;
  const ids = Array.from(encoded.value);
  const tokenBytes = (id: number) => model.tokenizer.tokenBytes(id);
  const piece = (id: number) => ({ id, piece: pieceOf(tokenBytes(id)) });
  const tokens = body.with_pieces === true ? listOf(ids, piece) : `[${ids.join(',')}]`;
  const text = (id: number) => decoder.decode(tokenBytes(id));
  const strs = body.return_token_strs === true ? listOf(ids, text) : null; // vLLM's null, too
  const sizes = `"count":${ids.length},"max_model_len":${generator.contextTokensMax}`;
  return { ok: true, value: `{"tokens":${tokens},${sizes},"token_strs":${strs}}` };
}

/** As JSON, what is said of each token written once: a long text has 100,000 of them. */
function listOf(ids: readonly number[], sayOf: (id: number) => unknown): string {
  const known = new Map<number, string>();
  const said = (id: number) => {
    const before = known.get(id);
    if (before !== undefined) return before;
    const made = JSON.stringify(sayOf(id));
    known.set(id, made);
    return made;
  };
  return `[${ids.map(said).join(',')}]`;
}

/** A conversation's tokens are exactly those of the prompt that its request would make. */
function tokensOf(body: TokenizeRequest, service: ChatService): Parsed<ArrayLike<number>> {
  const { model } = service;
  const text = body.content ?? body.prompt;
  if (text != null) {
    if (text.length > service.bounds.tokenizeSizeMax) {
      return tooLong({ param: body.content == null ? 'prompt' : 'content', size: text.length }, service);
    }
    const addStart = body.content == null ? (body.add_special_tokens ?? true) : (body.add_special ?? false);
    const start = addStart ? model.tokenizer.startIds : [];
    const encoded = model.tokenizer.encode(text);
    if (start.length === 0) return { ok: true, value: encoded };
    const whole = new Int32Array(start.length + encoded.length);
    whole.set(start);
    whole.set(encoded, start.length);
    return { ok: true, value: whole };
  }
  if (body.messages == null) {
    return { ok: false, fault: fault('invalid_request', 'one of content, prompt and messages is needed') };
  }
  const options = promptOptions(body, model);
  if (!options.ok) return options;
  const tools = toolSetOf([body.tools], { choice: 'auto', parallel: true }).shown.map(({ tool }) => tool);
  const messages = body.messages.map(forTemplate);
  const prompt = chatPrompt({ messages, tools, options: options.value }, service);
  return prompt.ok ? { ok: true, value: prompt.value.tokens } : prompt;
}

const charactersPerToken = 8; // what reading a token costs

/** Its answer alone would take long to write. */
export function tooLong(
  { param, size }: { readonly param: string; readonly size: number },
  { bounds }: Pick<ChatService, 'bounds'>,
): Parsed<never> {
  const message = `${param}: ${size} characters, at most ${bounds.tokenizeSizeMax} are taken (--tokenize-size)`;
  return { ok: false, fault: fault('invalid_request', message, { param }) };
}

function detokenized(tokens: readonly number[], service: ChatService): Parsed<object> {
  const { model } = service;
  const countMax = Math.ceil(service.bounds.tokenizeSizeMax / charactersPerToken);
  if (tokens.length > countMax) {
    const message = `tokens: ${tokens.length}, at most ${countMax} are taken (--tokenize-size, ${charactersPerToken} a token)`;
    return { ok: false, fault: fault('invalid_request', message, { param: 'tokens' }) };
  }
  const stray = strayFault(tokens, 'tokens', model.spec);
  if (stray !== null) return { ok: false, fault: stray };
  const text = model.tokenizer.decode(tokens, { keepSpecial: true });
  return { ok: true, value: { content: text, prompt: text } };
}

function answer(call: HttpCall, outcome: Parsed<object | string>): void {
  if (outcome.ok) call.reply(200, outcome.value);
  else call.refuse(outcome.fault);
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Text where the bytes are whole characters, else the bytes, as llama-server writes them. */
function pieceOf(bytes: Uint8Array): string | readonly number[] {
  const text = decoder.decode(bytes);
  return text.includes('\ufffd') ? Array.from(bytes) : text;
}
