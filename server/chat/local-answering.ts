// This server's model as who answers: the conversation through its template to tokens, the form to a grammar, the answer's
// text read. Before it: app.ts, and lane-edge.ts for a request in a lane; after it: generation/generation.ts.
import type { GenerationRequest } from '../generation/generation.ts';
import type { Answering, AnswerStart, LaneRoute } from './answering.ts';
import { chatPrompt, withSystem } from './chat-prompt.ts';
import { generationOf } from './fields.ts';
import { withForm } from './form.ts';
import type { LocalModel } from './local-model.ts';
import { reasoningForm } from './reasoning.ts';

type LocalParts = LocalModel & Pick<Answering, 'fingerprint'>;

/** `lane`: whose name answers carry, and what it adds. */
export function localAnswering(
  parts: LocalParts,
  lane: { readonly name: string; readonly route: LaneRoute } | null = null,
): Answering {
  const { model, forms, generator } = parts;
  return {
    model: lane === null ? model : { ...model, name: lane.name },
    route: lane?.route ?? null,
    get fingerprint() {
      return parts.fingerprint;
    },
    get contextTokensMax() {
      return generator.contextTokensMax;
    },
    withForm: (ask, then) => withForm(ask, forms, then),
    layOut: (conversation) => {
      const messages = withSystem(conversation.messages, lane?.route.system ?? '');
      return chatPrompt({ ...conversation, messages }, parts);
    },
    prepare: (fields, { prompt, ...ask }) => {
      const checked = generationOf(fields, { ...ask, tokens: prompt.tokens }, parts);
      if (!checked.ok) return checked;
      const { origin } = prompt;
      const lastTurn = origin === undefined ? null : parts.trail.follow(ask.owner, origin, prompt.tokens);
      return {
        ok: true,
        value: {
          promptTokenCount: prompt.tokens.length,
          lastTurn,
          ready: (form, shown = true) => {
            const { newReader, newConstraint } = reasoningForm(form, {
              start: prompt.reasoning,
              shown,
              model,
            });
            const request = { ...checked.value, newConstraint, lastTurn };
            return { newReader, ...startOf(request, parts) };
          },
        },
      };
    },
  };
}

/** Of a prompt that is no conversation. */
export function startOf(
  request: GenerationRequest,
  { generator }: Pick<LocalModel, 'generator'>,
): AnswerStart {
  const { choiceCount, lastTurn = null } = request;
  return { choiceCount, lastTurn, start: (sink) => generator.start(request, sink) };
}
