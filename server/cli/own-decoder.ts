// The server's own model on the shelf with all others: one that comes and goes where it may, else one that always takes its
// memory. Before it: local-server.ts; after it: device/decoder-device.ts and shelf/shelf.ts.
import { CheckpointError } from '../../models/files/model-file.ts';
import type { BuildProgress } from '../../models/graph/graph-files.ts';
import type { Model } from '../../models/model.ts';
import { type Config, computes } from '../config/config.ts';
import { DecoderDevice } from '../device/decoder-device.ts';
import { type DeviceParts, loadedSize, type OpenDevice, openDevice } from '../device/device.ts';
import type { Resident, Shelf } from '../shelf/shelf.ts';

/** Null: it stays. What is kept on disk, guessed by another model or simulated is bound to one device. */
export async function ownDecoder(
  { config, model, first }: { readonly config: Config; readonly model: Model; readonly first: OpenDevice },
  {
    shelf,
    parts,
    isAlone,
  }: { readonly shelf: Shelf; readonly parts: DeviceParts; readonly isAlone: boolean },
): Promise<DecoderDevice | null> {
  if (!computes(config.backend) || (isAlone && config.idleUnloadMs === null)) return null;
  const size = loadedSize(config, model);
  if (config.kvDiskSizeMax > 0 || config.draftModel !== null) {
    await placed(shelf, staying(model, size));
    return null;
  }
  let opened: OpenDevice | null = first;
  const decoder = new DecoderDevice({
    ...{
      backendName: config.backend,
      name: model.name,
      limits: first.backend.limits,
      size,
      shelf,
      keepAliveMs: config.idleUnloadMs,
    },
    open: async (onProgress: (progress: BuildProgress) => void) => {
      const device = opened ?? (await openDevice(config, model, { ...parts, onProgress }));
      opened = null;
      return device;
    },
  });
  await placed(shelf, decoder.resident);
  return decoder;
}

function staying({ name }: Model, size: number): Resident {
  return { name, size, load: async () => {}, unload: async () => {}, isBusy: () => true };
}

async function placed(shelf: Shelf, resident: Resident): Promise<void> {
  const used = await shelf.use(resident);
  if (!used.ok) throw new CheckpointError(used.fault.message, { file: '--model' });
  used.value.release();
}
