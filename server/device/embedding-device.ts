// The device that embeds: a thread of its own over an encoder's graph, or over a decoder's graph of states, which shares its
// weights' file with the graph that draws. Nothing is opened before somebody asks. Before it: cli/local-server.ts; after it:
// kernels/onnx/embedder.ts.
import { Embedder } from '../../kernels/onnx/embedder.ts';
import type { StatesShape } from '../../kernels/onnx/text-states.ts';
import type { EmbeddingModel } from '../../models/embedding-model.ts';
import { buildEncoder, defaultEncoderPrecision, encoderSize } from '../../models/encoder/encoder-build.ts';
import { loadEncoder } from '../../models/encoder/encoder-checkpoint.ts';
import type { BuildProgress } from '../../models/graph/graph-files.ts';
import type { Model } from '../../models/model.ts';
import type { Config } from '../config/config.ts';
import type { Resident } from '../shelf/shelf.ts';
import { graphFor, graphSizeFor } from './device.ts';

export interface EmbeddingDevice {
  readonly resident: Resident;
  /** While it is loaded; one text after another, in the order of the calls. */
  readonly embed: (ids: Int32Array, dimensions: number | null) => Promise<Float32Array>;
}

interface Graph {
  readonly modelPath: string;
  readonly shape: StatesShape;
}

/** Throws CheckpointError where its weights are not what its config says. */
export function encoderDevice(config: Config, model: EmbeddingModel): EmbeddingDevice {
  const checkpoint = loadEncoder(model.path);
  const precision = config.precision === 'auto' ? defaultEncoderPrecision(checkpoint.spec) : config.precision;
  const { cacheDirectory } = config;
  const size = encoderSize(checkpoint, precision);
  return embeddingDevice(config, model, size, async (onProgress) => {
    const { modelPath } = await buildEncoder(checkpoint, { precision, cacheDirectory, onProgress });
    return { modelPath, shape: { hiddenSize: checkpoint.spec.hiddenSize, cache: null } };
  });
}

export function decoderStatesDevice(
  config: Config,
  model: Model,
  embedding: EmbeddingModel,
): EmbeddingDevice {
  return embeddingDevice(config, embedding, graphSizeFor(config, model), async (onProgress) => {
    const { statesModelPath: modelPath, spec } = await graphFor(config, model, { onProgress });
    const { hiddenSize, layerCount, kvHeadCount, headSize } = spec;
    if (modelPath === null) throw new Error('its graph answers no states');
    return { modelPath, shape: { hiddenSize, cache: { layerCount, kvHeadCount, headSize } } };
  });
}

function embeddingDevice(
  { threadsPerReplica: threadCount, idleUnloadMs: keepAliveMs }: Config,
  { name, pooling }: EmbeddingModel,
  size: number,
  open: (onProgress: (progress: BuildProgress) => void) => Promise<Graph>,
): EmbeddingDevice {
  let embedder: Embedder | null = null;
  return {
    resident: {
      name: `${name} (embeddings)`,
      ...{ size, keepAliveMs },
      isBusy: () => false,
      async load(tell) {
        const graph = await open(({ doneSize, totalSize }) =>
          tell(`converting ${Math.floor((100 * doneSize) / totalSize)} %`),
        );
        tell('loading');
        const opened = new Embedder({ ...graph, pooling, threadCount });
        await opened.open().catch(async (error: Error) => {
          await opened.close();
          throw error;
        });
        embedder = opened;
      },
      async unload() {
        const closing = embedder;
        embedder = null;
        await closing?.close();
      },
    },
    embed(ids, dimensions) {
      if (embedder === null) throw new Error('it is not in memory');
      return embedder.embed(ids, dimensions);
    },
  };
}
