// POST /api/embed and, as it was before, /api/embeddings: Ollama's embeddings. Before it: routes.ts; after it:
// embeddings/embedded.ts.
import { z } from 'zod';
import type { Clock } from '../../kernels/clock.ts';
import { embedTexts } from '../embeddings/embedded.ts';
import {
  deskFor,
  type EmbeddingBounds,
  type EmbeddingService,
  numbersOf,
  wishOf,
} from '../embeddings/routes.ts';
import type { HttpCall } from '../http/http-call.ts';
import { keepAliveField, keepAliveMs } from '../shelf/keep-alive.ts';
import { shortList } from '../text/token-ids.ts';

export function embedSchema({ embeddingInputsMax }: EmbeddingBounds) {
  return z.object({
    model: z.string().min(1),
    input: z.union([z.string(), shortList(z.string(), embeddingInputsMax)]),
    truncate: z.boolean().nullish(), // default: true
    dimensions: z.int().min(1).nullish(),
    keep_alive: keepAliveField,
  });
}

export const olderEmbedSchema = z.object({
  model: z.string().min(1),
  prompt: z.string(),
  keep_alive: keepAliveField,
});

export function answerEmbed(
  call: HttpCall,
  body: z.output<ReturnType<typeof embedSchema>>,
  service: EmbeddingService & { readonly clock: Clock },
): void {
  const desk = deskFor(call, body.model, service);
  if (desk === null) return;
  const startMs = service.clock.nowMs();
  const texts = typeof body.input === 'string' ? [body.input] : body.input;
  const wish = {
    ...wishOf(texts, 'input', service),
    ...{ dimensions: body.dimensions ?? null, truncates: body.truncate !== false },
    ...keptFor(body.keep_alive),
  };
  embedTexts(call, wish, desk, {
    spell: numbersOf,
    answer({ vectors, tokenCount, loadMs }) {
      const facts = {
        total_duration: nanoseconds(service.clock.nowMs() - startMs),
        load_duration: nanoseconds(loadMs),
        prompt_eval_count: tokenCount,
      };
      const rest = JSON.stringify({ model: body.model, ...facts }).slice(1);
      call.reply(200, `{"embeddings":[${vectors.join(',')}],${rest}`);
    },
  });
}

/** Of one text, of whatever length. */
export function answerOlderEmbed(
  call: HttpCall,
  { model, prompt, keep_alive }: z.output<typeof olderEmbedSchema>,
  service: EmbeddingService,
): void {
  const desk = deskFor(call, model, service);
  if (desk === null) return;
  const wish = {
    ...wishOf([prompt], 'prompt', service),
    dimensions: null,
    truncates: true,
    ...keptFor(keep_alive),
  };
  embedTexts(call, wish, desk, {
    spell: numbersOf,
    answer: ({ vectors }) => call.reply(200, `{"embedding":${vectors[0]}}`),
  });
}

function keptFor(asked: z.output<typeof keepAliveField>): { readonly keepAliveMs?: number | null } {
  const kept = keepAliveMs(asked);
  return kept === undefined ? {} : { keepAliveMs: kept };
}

function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6);
}
