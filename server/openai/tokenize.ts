// POST /tokenize and /detokenize, in the shapes of the two servers that clients know: llama-server (`content`) and
// vLLM (`prompt` or `messages`, `count`). Before it: http.ts; after it: the tokenizer.
import { z } from 'zod';
import { ChatTemplateError } from '../../models/chat-template.ts';
import { fault } from '../errors.ts';
import type { Route } from '../http.ts';
import type { HttpCall } from '../http-call.ts';
import type { Parsed } from '../json-body.ts';
import type { OpenAiWorld } from './world.ts';

const tokenizeSchema = z.object({
  content: z.string().nullish(), // llama-server
  prompt: z.string().nullish(), // vLLM
  messages: z.array(z.looseObject({ role: z.string() })).nullish(), // vLLM
  add_special: z.boolean().nullish(), // llama-server; default false
  add_special_tokens: z.boolean().nullish(), // vLLM; default true
  add_generation_prompt: z.boolean().nullish(), // vLLM; default true
  with_pieces: z.boolean().nullish(), // llama-server
});

const detokenizeSchema = z.object({ tokens: z.array(z.int().min(0)) });

export function tokenizeRoutes(world: OpenAiWorld): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/tokenize',
      open: false,
      answer: (call) => call.readJson(tokenizeSchema, (body) => answer(call, tokenized(body, world))),
    },
    {
      method: 'POST',
      path: '/detokenize',
      open: false,
      answer: (call) =>
        call.readJson(detokenizeSchema, ({ tokens }) => answer(call, detokenized(tokens, world))),
    },
  ];
}

type TokenizeRequest = z.output<typeof tokenizeSchema>;

function tokenized(body: TokenizeRequest, world: OpenAiWorld): Parsed<object> {
  const { model, generator } = world;
  const text = textOf(body, world);
  if (!text.ok) return text;
  const addStart = body.content == null ? (body.add_special_tokens ?? true) : (body.add_special ?? false);
  const start = addStart && body.messages == null ? model.tokenizer.startIds : [];
  const ids = [...start, ...model.tokenizer.encode(text.value)];
  const pieces = () => ids.map((id) => ({ id, piece: pieceOf(model.tokenizer.tokenBytes(id)) }));
  const tokens = body.with_pieces === true ? pieces() : ids;
  return { ok: true, value: { tokens, count: ids.length, max_model_len: generator.contextTokensMax } };
}

function textOf(body: TokenizeRequest, { model }: OpenAiWorld): Parsed<string> {
  const plain = body.content ?? body.prompt;
  if (plain != null) return { ok: true, value: plain };
  if (body.messages == null) {
    return { ok: false, fault: fault('invalid_request', 'one of content, prompt and messages is needed') };
  }
  const refuse = (message: string): Parsed<never> => {
    return { ok: false, fault: fault('unsupported', message, { param: 'messages' }) };
  };
  if (model.chatTemplate === null) return refuse(`messages: ${model.name} has no chat template`);
  try {
    const addGenerationPrompt = body.add_generation_prompt ?? true;
    return { ok: true, value: model.chatTemplate.render(body.messages, { addGenerationPrompt }) };
  } catch (error) {
    if (!(error instanceof ChatTemplateError)) throw error;
    return refuse(error.message);
  }
}

function detokenized(tokens: readonly number[], { model }: OpenAiWorld): Parsed<object> {
  const stray = tokens.findIndex((id) => id >= model.spec.vocabSize);
  if (stray >= 0) {
    const message = `tokens[${stray}]: ${tokens[stray]} is not in [0, ${model.spec.vocabSize})`;
    return { ok: false, fault: fault('invalid_request', message, { param: `tokens[${stray}]` }) };
  }
  const text = model.tokenizer.decode(tokens, { keepSpecial: true });
  return { ok: true, value: { content: text, prompt: text } };
}

function answer(call: HttpCall, outcome: Parsed<object>): void {
  if (outcome.ok) call.reply(200, outcome.value);
  else call.refuse(outcome.fault);
}

/** Text where the bytes are whole characters, else the bytes, as llama-server writes them. */
function pieceOf(bytes: Uint8Array): string | readonly number[] {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  return text.includes('\ufffd') ? Array.from(bytes) : text;
}
