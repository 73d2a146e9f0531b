// `sparklane build MODEL`: makes the graph that a device will open, ahead of the first start. Owns what is printed.
// Before it: program.ts; after it: models/graph/build.ts.
import { adapterChoice } from '../../models/checkpoint/lora.ts';
import { loadModel } from '../../models/model.ts';
import type { Config } from '../config/config.ts';
import { graphFor } from '../device/device.ts';
import { withLocalModels } from './hub-model.ts';
import { progressBar } from './progress.ts';
import type { Host } from './terminal.ts';

/** Prints the folder of the built graph. Rejects with CheckpointError, HubError or the file system's errors. */
export async function build(given: Config, host: Host): Promise<void> {
  const { terminal, clock, memorySize = Number.POSITIVE_INFINITY } = host;
  const config = await withLocalModels(given, host);
  const model = loadModel(config.model, null, config.lora.map(adapterChoice));
  const startMs = clock.nowMs();
  const bar = progressBar(host, `building ${model.name}`);
  const built = await graphFor(config, model, { onProgress: bar.onProgress, memorySize }).finally(() =>
    bar.end(),
  );
  const seconds = ((clock.nowMs() - startMs) / 1000).toFixed(1);
  const how = built.fromCache ? 'was there already' : `took ${seconds} s`;
  terminal.note(`${model.name} at ${built.precision} ${how} (${built.fates}):\n`);
  terminal.write(`${built.directory}\n`);
}
