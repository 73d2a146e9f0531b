// An answer in the words of OpenTelemetry's semantic conventions for generative AI: names of spans, attributes and metrics. Pure;
// numbers and names only, never a text. Before it: generation/answer-log.ts; after it: open-telemetry.ts.
import type { AnswerReport } from '../generation/answer-log.ts';

export type Attributes = Record<string, string | number | string[]>;

export const PROVIDER = 'sparklane';

/** In seconds, as the convention advises. */
export const DURATION_BUCKETS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
export const FIRST_TOKEN_BUCKETS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
export const PER_TOKEN_BUCKETS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
export const TOKEN_BUCKETS = [
  1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864,
];

/** The convention knows chat and text completions; what is asked over other routes is one of them. */
export function operationOf(route: string | null): 'chat' | 'text_completion' {
  return route !== null &&
    /completion$|completions$|infill|fim|generate/.test(route) &&
    !route.includes('chat')
    ? 'text_completion'
    : 'chat';
}

/** What spans and metrics have in common. */
export function commonAttributes({ route, model, failure }: AnswerReport): Attributes {
  return {
    'gen_ai.operation.name': operationOf(route),
    'gen_ai.provider.name': PROVIDER,
    'gen_ai.request.model': model,
    'gen_ai.response.model': model,
    ...(failure !== null && { 'error.type': failure }),
  };
}

export function spanAttributes(report: AnswerReport): Attributes {
  const { request, route, promptTokens, cachedTokens, outputTokens, finishReasons } = report;
  const { maxTokens, temperature, topP, topK, seed, frequencyPenalty, presencePenalty } = request;
  const asked: Readonly<Record<string, number | null | undefined>> = {
    max_tokens: maxTokens,
    temperature,
    top_p: topP,
    top_k: topK === 0 ? null : topK,
    seed,
    frequency_penalty: frequencyPenalty,
    presence_penalty: presencePenalty,
    'choice.count': request.choiceCount === 1 ? null : request.choiceCount,
  };
  const known = Object.entries(asked).flatMap(([name, value]) =>
    value == null ? [] : [[`gen_ai.request.${name}`, value] as const],
  );
  return {
    ...commonAttributes(report),
    ...Object.fromEntries(known),
    ...(route !== null && { 'http.route': route }),
    'gen_ai.usage.input_tokens': promptTokens,
    'gen_ai.usage.output_tokens': outputTokens,
    'gen_ai.usage.cache_read.input_tokens': cachedTokens,
    'gen_ai.response.finish_reasons': [...finishReasons],
  };
}

/** Seconds per output token after the first; null below two tokens. */
export function perTokenSeconds({ drawMs, outputTokens, request }: AnswerReport): number | null {
  const later = outputTokens - request.choiceCount;
  return later > 0 && drawMs > 0 ? drawMs / later / 1000 : null;
}
