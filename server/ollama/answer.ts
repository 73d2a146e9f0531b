// One answer in Ollama's shape from a prompt that is already tokens. Owns how its fields become a generation; never
// generates. Before it: chat.ts and generate.ts; after it: chat/answer.ts.
import type { Parsed } from '../base/json-body.ts';
import type { AnswerPlan } from '../chat/answer.ts';
import type { ChatPrompt } from '../chat/chat-prompt.ts';
import type { ChatService } from '../chat/chat-service.ts';
import type { AnswerForm } from '../chat/form.ts';
import { lineHead, OllamaEvents } from './events.ts';
import { type AskFields, answerLength, ollamaSampling } from './fields.ts';
import type { Said } from './reading.ts';

export interface OllamaPrompt extends ChatPrompt {
  readonly form: AnswerForm;
  readonly spell: (said: Said) => object;
  readonly withContext: boolean;
  readonly owner: string;
  readonly route: string;
}

export function ollamaAnswer(
  body: AskFields,
  prompt: OllamaPrompt,
  service: ChatService,
): Parsed<AnswerPlan> {
  const { tokens, form, owner, route } = prompt;
  const length = answerLength(body, tokens.length);
  if (!length.ok) return length;
  const logprobs = body.logprobs === true ? (body.top_logprobs ?? 0) : null;
  const asked = { prompt, maxTokens: length.value, logprobs, owner, route };
  const prepared = service.answering.prepare(ollamaSampling(body), asked);
  if (!prepared.ok) return prepared;
  const ready = prepared.value.ready(form);
  const context = prompt.withContext ? tokens : null;
  const shape = new OllamaEvents(
    { asked: body.model, newReader: ready.newReader, spell: prompt.spell, context },
    service,
  );
  const stream = body.stream !== false;
  return {
    ok: true,
    value: {
      starts: [ready],
      logprobs: logprobs !== null,
      stream,
      includeUsage: null,
      shape,
      framing: 'lines',
    },
  };
}

/** Without anything to answer Ollama loads the model, or unloads it where nothing is to be kept (catalogue/choice.ts does it). */
export function loaded(
  { model, keep_alive: kept }: AskFields,
  said: object,
  service: Pick<ChatService, 'epochSeconds'>,
): object {
  const isUnload = kept === 0 || kept === '0';
  return { ...lineHead(model, service), ...said, done: true, done_reason: isUnload ? 'unload' : 'load' };
}
