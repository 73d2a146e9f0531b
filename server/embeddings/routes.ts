// POST /v1/embeddings, in OpenAI's words, and llama-server's /embedding. Before it: http/door.ts; after it: embedded.ts.
import { z } from 'zod';
import { fault } from '../base/errors.ts';
import type { ChatService } from '../chat/chat-service.ts';
import { type NamedModel, ownModelFault } from '../chat/model-name.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import { shortList, tokenIds } from '../text/token-ids.ts';
import { embedTexts } from './embedded.ts';
import type { EmbeddedText, EmbeddingDesk } from './embedding-desk.ts';

const openai = routesIn('openai');
const llama = routesIn('llama-server');

export interface EmbeddingService {
  readonly model: NamedModel;
  readonly lanes?: ChatService['lanes'];
  readonly desk: EmbeddingDesk | null; // null: the device does not embed
  readonly bounds: EmbeddingBounds;
}

export interface EmbeddingBounds {
  readonly embeddingInputsMax: number; // texts of one request
  readonly embeddingTokensMax: number; // of one request
}

function inputType({ embeddingInputsMax }: EmbeddingBounds) {
  const ids = tokenIds();
  return z.union([
    z.string(),
    shortList(z.string(), embeddingInputsMax),
    ids,
    shortList(ids, embeddingInputsMax),
  ]);
}

export function embeddingRoutes(service: EmbeddingService): readonly Route[] {
  const { bounds } = service;
  const schema = z.object({
    model: z.string().nullish(),
    input: inputType(bounds),
    encoding_format: z.enum(['float', 'base64']).nullish(),
    dimensions: z.int().min(1).nullish(),
  });
  const llamaSchema = z.object({ model: z.string().nullish(), content: inputType(bounds) });
  return [
    openai.posted('/v1/embeddings', { summary: 'Vectors of texts', body: schema }, (call, body) =>
      answerEmbeddings(call, body, service),
    ),
    llama.posted(
      '/embedding',
      { summary: 'Vectors of texts', body: llamaSchema },
      (call, { model, content }) => answerLlama(call, { model, content }, service),
    ),
  ];
}

/** Null: refused. */
export function deskFor(
  call: HttpCall,
  asked: string | null | undefined,
  { model, lanes, desk }: EmbeddingService,
): EmbeddingDesk | null {
  const absent = ownModelFault(asked, { model, lanes: lanes ?? null });
  if (absent === null && desk !== null) return desk;
  call.refuse(absent ?? fault('unsupported', `${model.name} does not support embeddings on this device`));
  return null;
}

interface EmbeddingsRequest {
  readonly model?: string | null | undefined;
  readonly input: z.output<ReturnType<typeof inputType>>;
  readonly encoding_format?: 'float' | 'base64' | null | undefined;
  readonly dimensions?: number | null | undefined;
}

function answerEmbeddings(call: HttpCall, body: EmbeddingsRequest, service: EmbeddingService): void {
  const desk = deskFor(call, body.model, service);
  if (desk === null) return;
  const inBase64 = body.encoding_format === 'base64';
  const spell = (vector: Float32Array) => (inBase64 ? `"${base64Of(vector)}"` : numbersOf(vector));
  const texts = textsOf(body.input);
  const wish = { ...wishOf(texts, 'input', service), dimensions: body.dimensions ?? null };
  embedTexts(call, wish, desk, {
    spell,
    answer({ vectors, tokenCount }) {
      const data = vectors.map(
        (vector, index) => `{"object":"embedding","index":${index},"embedding":${vector}}`,
      );
      const usage = JSON.stringify({ prompt_tokens: tokenCount, total_tokens: tokenCount });
      const name = JSON.stringify(desk.name);
      call.reply(200, `{"object":"list","data":[${data.join(',')}],"model":${name},"usage":${usage}}`);
    },
  });
}

function answerLlama(
  call: HttpCall,
  {
    model,
    content,
  }: { readonly model: string | null | undefined; readonly content: EmbeddingsRequest['input'] },
  service: EmbeddingService,
): void {
  const desk = deskFor(call, model, service);
  if (desk === null) return;
  embedTexts(call, { ...wishOf(textsOf(content), 'content', service), dimensions: null }, desk, {
    spell: numbersOf,
    answer: ({ vectors }) =>
      call.reply(
        200,
        `[${vectors.map((vector, index) => `{"index":${index},"embedding":[${vector}]}`).join(',')}]`,
      ),
  });
}

export function wishOf(texts: readonly EmbeddedText[], field: string, { bounds }: EmbeddingService) {
  return {
    texts,
    fieldOf: (index: number) => (texts.length === 1 ? field : `${field}[${index}]`),
    truncates: false,
    requestTokensMax: bounds.embeddingTokensMax,
  };
}

function textsOf(input: EmbeddingsRequest['input']): readonly EmbeddedText[] {
  if (typeof input === 'string') return [input];
  return typeof input[0] === 'number' ? [input as number[]] : (input as string[] | number[][]);
}

/** Nine digits tell every two float32 apart. */
export function numbersOf(vector: Float32Array): string {
  return `[${Array.from(vector, (value) => Number(value.toPrecision(9))).join(',')}]`;
}

function base64Of({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
