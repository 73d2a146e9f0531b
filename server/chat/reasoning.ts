// An answer's form where the model reasons first: its reader tells reasoning from answer, its grammar begins after the
// reasoning that the prompt has opened. Owns how requests switch that off. Before it: openai/chat.ts, responses/run.ts; after
// it: reasoning-reader.ts and grammar/after-mark.ts.
import { z } from 'zod';
import { ConstraintAfterMark, maskWithout } from '../grammar/after-mark.ts';
import type { ServedModel } from '../text/served-model.ts';
import type { AnswerForm } from './form.ts';
import { ReasoningReader, type ReasoningStart } from './reasoning-reader.ts';
import type { Usage } from './usage.ts';

/** SGLang's and llama-server's names for leaving reasoning in the text, marks included. */
export const reasoningFields = {
  separate_reasoning: z.boolean().nullish(),
  reasoning_format: z.enum(['auto', 'none', 'deepseek']).nullish(),
};

export function leavesReasoning(fields: z.output<z.ZodObject<typeof reasoningFields>>): boolean {
  return fields.separate_reasoning === false || fields.reasoning_format === 'none';
}

/** `start` null: the model does not reason, or its reasoning is to stay in the text. */
export function reasoningForm(
  form: AnswerForm,
  {
    start,
    shown,
    model,
  }: {
    readonly start: ReasoningStart | null;
    readonly shown: boolean; // apart from the answer
    readonly model: Pick<ServedModel, 'spec' | 'tokenizer'>;
  },
): AnswerForm {
  if (start === null) return form;
  const { newConstraint, newReader } = form;
  const { spec, tokenizer } = model;
  const free =
    newConstraint === null || !start.open
      ? null
      : {
          mark: new TextEncoder().encode(start.marks.close),
          mask: maskWithout(spec.eosTokenIds, spec.vocabSize),
          tokenizer,
        };
  return {
    newConstraint:
      newConstraint === null || free === null
        ? newConstraint
        : () => new ConstraintAfterMark(free, newConstraint()),
    newReader: shown ? (events) => new ReasoningReader(start, events, newReader(events)) : newReader,
  };
}

/** Tokens of reasoning as the text says; the marks count with it. */
export function reasoningTokens(
  text: string,
  {
    tokenizer,
    start,
  }: { readonly tokenizer: Pick<ServedModel['tokenizer'], 'encode'>; readonly start: ReasoningStart | null },
): number {
  if (text === '') return 0;
  return tokenizer.encode(text, 'plain').length + (start === null ? 0 : start.open ? 1 : 2);
}

export function withReasoning(usage: Usage, tokens: number): Usage {
  if (tokens === 0) return usage;
  const { completion_tokens: all, completion_tokens_details: details } = usage;
  return {
    ...usage,
    completion_tokens_details: { ...details, reasoning_tokens: Math.min(tokens, all) },
  };
}
