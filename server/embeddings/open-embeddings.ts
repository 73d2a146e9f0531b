// The desk of a decoder that also embeds. Before it: cli/local-server.ts; after it: embedding-desk.ts.
import { embeddingModelOf } from '../../models/embedding-model.ts';
import { CheckpointError } from '../../models/files/model-file.ts';
import type { Model } from '../../models/model.ts';
import type { Log } from '../base/log.ts';
import { type Config, computes } from '../config/config.ts';
import { decoderStatesDevice } from '../device/embedding-device.ts';
import type { Resident, Shelf } from '../shelf/shelf.ts';
import type { LongTexts } from '../text/long-texts.ts';
import { type EmbeddingDesk, openEmbeddingDesk } from './embedding-desk.ts';

export interface DecoderEmbeddings {
  readonly resident: Resident;
  /** `texts`: tokenises long texts elsewhere. */
  readonly open: (texts: LongTexts) => EmbeddingDesk;
}

/** Null where the device does not compute, or the checkpoint pools in a way that is not known, which the log says. */
export function decoderEmbeddings(
  {
    config,
    model,
    contextTokens,
  }: { readonly config: Config; readonly model: Model; readonly contextTokens: number },
  { shelf, log }: { readonly shelf: Shelf; readonly log: Log },
): DecoderEmbeddings | null {
  if (!computes(config.backend) || model.fileFormat === 'onnx') return null; // an export answers logits only
  try {
    const embedding = embeddingModelOf(model, contextTokens);
    const device = decoderStatesDevice(config, model, embedding);
    const { startIds, endIds } = embedding.tokenizer;
    return {
      resident: device.resident,
      open: ({ tokenizer }) =>
        openEmbeddingDesk(
          { ...embedding, tokenizer: { encode: tokenizer.encode, startIds, endIds } },
          { shelf, device },
        ),
    };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    log.warn('the model makes no embeddings', { model: model.name, reason: error.message });
    return null;
  }
}
