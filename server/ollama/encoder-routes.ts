// All routes of a model that makes vectors and writes no text, in every dialect that has any. Before it: cli/model-table.ts;
// after it: embeddings/routes.ts and embed.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { CatalogueModel } from '../chat/catalogue-model.ts';
import type { EmbeddingDesk } from '../embeddings/embedding-desk.ts';
import { type EmbeddingBounds, embeddingRoutes } from '../embeddings/routes.ts';
import type { Route } from '../http/route.ts';
import { shownEncoder } from './model-card.ts';
import { embedRoutes, namedSchema, postRoute } from './routes.ts';

export interface EncoderService {
  readonly listed: CatalogueModel;
  readonly desk: EmbeddingDesk;
  readonly bounds: EmbeddingBounds;
  readonly clock: Clock;
}

export function encoderRoutes({ listed, desk, bounds, clock }: EncoderService): readonly Route[] {
  const embeddings = { model: listed, desk, bounds, clock };
  return [
    ...embeddingRoutes(embeddings),
    ...embedRoutes(embeddings),
    postRoute('/api/show', { summary: 'A model', body: namedSchema }, (call) =>
      call.reply(200, shownEncoder(listed)),
    ),
  ];
}
