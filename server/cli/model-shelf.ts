// What the server has in memory: its own model, those beside it, and what embeds. Owns which of them come and go. Before it:
// local-server.ts; after it: own-decoder.ts, model-table.ts and shelf/shelf.ts.
import type { Model } from '../../models/model.ts';
import type { ServerParts } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { buildApart } from '../device/build-thread.ts';
import { type DeviceParts, type OpenDevice, openDevice } from '../device/device.ts';
import { decoderEmbeddings } from '../embeddings/open-embeddings.ts';
import { Shelf } from '../shelf/shelf.ts';
import { ModelTable, presetsOf, type TableParts } from './model-table.ts';
import { ownDecoder } from './own-decoder.ts';

const MEMORY_SHARE = 0.8; // of the machine's, for models, where nobody says more or less

type ShelfParts = Pick<
  ServerParts,
  'backend' | 'openBackend' | 'shelf' | 'decoder' | 'openOthers' | 'embeddings'
>;

/** `first`: of the own model, open. Rejects with CheckpointError where models ask for more memory than they may have. */
export async function openShelf(
  { config, model, first }: { readonly config: Config; readonly model: Model; readonly first: OpenDevice },
  parts: Omit<TableParts, 'shelf' | 'device'> & { readonly device: DeviceParts },
): Promise<ShelfParts & { readonly otherNames: readonly string[] }> {
  const { clock, log } = parts;
  const { memorySize = Number.POSITIVE_INFINITY } = parts.device;
  const device: DeviceParts = {
    ...parts.device,
    buildApart: (own, onProgress) => buildApart({ config: own, memorySize }, onProgress),
  };
  const { modelsMemoryMax, idleUnloadMs } = config;
  const memoryMax = modelsMemoryMax ?? Math.floor(MEMORY_SHARE * memorySize);
  const shelf = new Shelf({ memoryMax, idleUnloadMs, clock, log });
  const presets = presetsOf(config, model.name);
  const table = presets.length === 0 ? null : new ModelTable(config, presets, { ...parts, device, shelf });
  const isAlone = table === null;
  const decoder = await ownDecoder({ config, model, first }, { shelf, parts: device, isAlone });
  const contextTokens = first.backend.limits.slotTokensMax;
  return {
    shelf,
    decoder,
    backend: decoder?.backend ?? first.backend,
    // A device that comes and goes is opened for the model as it is.
    ...(decoder === null && { openBackend: (choice) => openDevice({ ...config, ...choice }, model, device) }),
    openOthers: table === null ? null : (shared) => table.open(shared),
    embeddings: decoderEmbeddings({ config, model, contextTokens }, { shelf, log }),
    otherNames: table?.names ?? [],
  };
}
