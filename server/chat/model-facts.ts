// What clients want to know of the model before they ask it anything: sizes, limits, what it can do. Owns how it is found
// out; every API has its own spelling. Pure. Before it: the routes that describe; after it: text/served-model.ts.
import { type ModelSpec, weightCount } from '../../models/spec.ts';
import type { ServedModel } from '../text/served-model.ts';
import type { ToolSyntax } from '../tools/dialect.ts';
import type { ChatService } from './chat-service.ts';

/** In Ollama's words, which others have taken over. */
type Capability = 'completion' | 'tools' | 'insert' | 'thinking';

export interface ModelFacts {
  readonly architecture: string; // the family's name in GGUF files
  readonly format: 'gguf' | 'safetensors' | 'onnx';
  readonly contextTokens: number; // served: prompt and output together
  readonly trainedTokens: number; // that the model was made for
  readonly parameterCount: number | null; // null: unknown
  readonly fileSize: number; // bytes; 0: unknown
  readonly capabilities: readonly Capability[];
}

export function modelFacts({
  model,
  forms,
  generator,
}: Pick<ChatService, 'model' | 'forms' | 'generator'>): ModelFacts {
  const { spec, fileFormat = 'safetensors', fileSize = 0 } = model;
  const contextTokens = generator.contextTokensMax;
  return {
    architecture: spec.architecture ?? 'unknown',
    format: fileFormat,
    contextTokens,
    trainedTokens: spec.contextLength ?? contextTokens,
    parameterCount: isWhole(spec) ? weightCount(spec) : null,
    fileSize,
    capabilities: capabilitiesOf(model, forms.toolSyntax),
  };
}

export function capabilitiesOf(
  { chatTemplate, fim }: Pick<ServedModel, 'chatTemplate' | 'fim'>,
  toolSyntax: Pick<ToolSyntax, 'kind'>,
): readonly Capability[] {
  const calls = chatTemplate !== null && toolSyntax.kind !== 'unknown';
  return [
    'completion',
    ...(calls ? (['tools'] as const) : []),
    ...(fim === null ? [] : (['insert'] as const)),
    ...(chatTemplate?.reasoning == null ? [] : (['thinking'] as const)),
  ];
}

function isWhole(spec: ServedModel['spec']): spec is ModelSpec {
  return spec.layerCount !== undefined;
}
