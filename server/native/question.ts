// From a client's messages to what a session understands: content to append, a question to answer. Owns defaults
// and the checks that need the model at hand; pure. Before it: client/protocol.ts; after it: sessions/session.ts.

import { type Fault, fault } from '../base/errors.ts';
import type { MessageOf, SamplingFields } from '../client/messages.ts';
import { type DraftingBounds, draftingFor } from '../generation/drafting.ts';
import { foldSeed } from '../generation/seed.ts';
import type { Content } from '../sessions/content.ts';
import type { Question } from '../sessions/session-state.ts';
import type { Replacement } from '../sessions/transcript.ts';

export interface QuestionBounds extends DraftingBounds {
  readonly vocabSize: number;
  readonly logprobsMax: number; // alternatives per token
  readonly timeoutMs: number; // of one answer
  readonly encode: (text: string) => Int32Array;
  readonly defaults: QuestionDefaults; // the model's own
}

export type QuestionDefaults = { readonly [Name in keyof SamplingFields]-?: number };

export type ContentFields = Pick<MessageOf<'steer'>, 'text' | 'tokens' | 'messages'>;

export type ContentOutcome =
  | { readonly ok: true; readonly content: Content }
  | { readonly ok: false; readonly fault: Fault };

export type ReplacementOutcome =
  | { readonly ok: true; readonly replacement: Replacement }
  | { readonly ok: false; readonly fault: Fault };

export type QuestionOutcome =
  | { readonly ok: true; readonly question: Question }
  | { readonly ok: false; readonly fault: Fault };

/** What a message brings: exactly one of text (with or without a suffix), tokens and messages. */
export function contentOf(fields: ContentFields & { readonly suffix?: string | undefined }): ContentOutcome {
  const { text, suffix, tokens, messages } = fields;
  const given = [text, tokens, messages].filter((part) => part !== undefined).length;
  if (given !== 1) return refused(null, 'exactly one of text, tokens and messages is needed');
  if (suffix !== undefined && text === undefined) return refused('suffix', 'suffix goes with text');
  if (text !== undefined) {
    return { ok: true, content: { text, suffix: suffix ?? null, tokens: null, messages: null } };
  }
  if (tokens !== undefined) {
    return { ok: true, content: { text: null, suffix: null, tokens, messages: null } };
  }
  return { ok: true, content: { text: null, suffix: null, tokens: null, messages: messages! } };
}

/** What an edit puts in; none of the three fields: nothing. A raw session's text becomes tokens on its own. */
export function replacementOf(
  { text, tokens, messages }: ContentFields,
  { encode, vocabSize }: Pick<QuestionBounds, 'encode' | 'vocabSize'>,
): ReplacementOutcome {
  const given = [text, tokens, messages].filter((part) => part !== undefined).length;
  if (given > 1) return refused(null, 'an edit has at most one of text, tokens and messages');
  if (messages !== undefined) return { ok: true, replacement: { tokens: null, messages } };
  const stray = tokens?.findIndex((id) => id >= vocabSize) ?? -1;
  if (stray >= 0) return refused(`tokens[${stray}]`, `token ${tokens![stray]} is not in [0, ${vocabSize})`);
  const ids = tokens ?? (text === undefined ? [] : encode(text));
  return { ok: true, replacement: { tokens: ids, messages: null } };
}

/** What the message says goes before what the session was opened with, that before the model's defaults. */
export function questionOf(
  message: MessageOf<'generate'> | MessageOf<'steer'>,
  session: SamplingFields,
  bounds: QuestionBounds,
  nowMs: number,
): QuestionOutcome {
  const { logprobs = null, minTokens = 0, maxTokens = null, logitBias, deadlineUs } = message;
  if (logprobs !== null && logprobs > bounds.logprobsMax) {
    return refused('logprobs', `logprobs is ${logprobs}, at most ${bounds.logprobsMax} are reported`);
  }
  if (maxTokens !== null && minTokens > maxTokens) {
    return refused('minTokens', `minTokens is ${minTokens}, above maxTokens ${maxTokens}`);
  }
  const stray = logitBias?.find(([id]) => id >= bounds.vocabSize);
  if (stray !== undefined) {
    return refused('logitBias', `token ${stray[0]} is not in [0, ${bounds.vocabSize})`);
  }
  const seed = message.seed === undefined ? null : foldSeed(message.seed);
  const timeoutMs = Math.min(bounds.timeoutMs, (deadlineUs ?? Number.POSITIVE_INFINITY) / 1000);
  const pick = (name: keyof SamplingFields) => message[name] ?? session[name] ?? bounds.defaults[name];
  const question: Question = {
    generation: message.generation,
    maxTokens,
    minTokens,
    temperature: pick('temperature'),
    topP: pick('topP'),
    topK: pick('topK'),
    minP: pick('minP'),
    repetitionPenalty: pick('repetitionPenalty'),
    frequencyPenalty: pick('frequencyPenalty'),
    presencePenalty: pick('presencePenalty'),
    logitBias: logitBias === undefined || logitBias.length === 0 ? null : new Map(logitBias),
    seed,
    logprobs,
    stopStrings: message.stop ?? [],
    ignoreStopTokens: message.ignoreStopTokens ?? false,
    speculation: draftingFor(
      {
        speculation: message.speculation ?? null,
        prediction: message.prediction ?? null,
        seed,
      },
      bounds,
      bounds.encode,
    ),
    route: '/v1/sparklane',
    priority: message.priority ?? 'turn',
    deadlineMs: nowMs + timeoutMs,
    frameIntervalMs: (message.frameIntervalUs ?? 0) / 1000,
    reasoning: message.reasoning ?? false,
  };
  return { ok: true, question };
}

function refused(param: string | null, message: string): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault: fault('invalid_request', message, { param }) };
}
