// CatalogueModel: what is told of a model in lists, whether it is in memory or not. Types, and how each state is spelled. Before
// it: catalogue/catalogue.ts makes them; after it: every list of models.
import type { Residence } from '../shelf/shelf.ts';

export interface CatalogueModel {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: 'decoder' | 'encoder';
  readonly architecture: string;
  readonly format: 'gguf' | 'safetensors' | 'onnx';
  readonly contextTokens: number; // served
  readonly trainedTokens: number;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly parameterCount: number;
  readonly fileSize: number; // bytes
  readonly capabilities: readonly string[];
}

/** Beside the model whose routes tell of it. */
export interface OtherModel {
  readonly listed: CatalogueModel;
  readonly residence: Residence;
}

/** llama-server's `status`, with why and for how long. */
export function statusOf(residence: Residence): {
  readonly state: Residence['kind'];
  readonly status: object;
} {
  const { kind } = residence;
  switch (residence.kind) {
    case 'loading':
      return { state: kind, status: { value: kind, progress: residence.progress } };
    case 'failed':
      return { state: kind, status: { value: 'unloaded', failed: true, reason: residence.reason } };
    case 'loaded': {
      const { expiresMs } = residence;
      return {
        state: kind,
        status: { value: kind, ...(expiresMs !== null && { unloads_in_ms: Math.round(expiresMs) }) },
      };
    }
    case 'unloaded':
      return { state: kind, status: { value: kind } };
  }
}
