// A decoder as a chain of graphs that answer how large its activations are: some layers each, written when it is their turn and
// removed after it, so that a large model is never whole in memory to be measured. Before it: build.ts; after it:
// kernels/onnx/activation-probe.ts runs them.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModelSpec, weightCount } from '../spec.ts';
import type { Checkpoint } from '../weights/weights.ts';
import { type Stretch, stretchInterface, writeDecoder } from './decoder.ts';
import { graphOf, weightsFile, writeModel, writeWeights } from './graph-files.ts';

const partWeightsMax = 128 * 2 ** 20;
const modelFile = 'model.onnx';

export interface Probe {
  readonly spec: ModelSpec;
  readonly parts: AsyncIterable<ProbePart>; // all layers, in their order; each is there until the next is asked for
}

export interface ProbePart extends Stretch {
  readonly modelPath: string; // stretchInterface()
}

/** `directory` is there only while a part is. `weightsMax`: of a part, unless one layer has more. */
export async function* probeParts(
  directory: string,
  checkpoint: Checkpoint,
  version: string,
  weightsMax = partWeightsMax,
): AsyncGenerator<ProbePart, void> {
  const { spec } = checkpoint;
  const count = layersOfPart(spec, weightsMax);
  for (let from = 0; from < spec.layerCount; from += count) {
    const stretch = { from, to: Math.min(spec.layerCount, from + count) };
    await mkdir(directory);
    try {
      const writer = writeDecoder(spec, { precision: 'int8', kv: 'fp32', stretch }, checkpoint);
      const weights = await writeWeights(join(directory, weightsFile), writer.recipes, () => undefined);
      const graph = graphOf('decoder', writer, weights, stretchInterface(spec, stretch));
      await writeModel(directory, modelFile, graph, version);
      yield { ...stretch, modelPath: join(directory, modelFile) };
    } finally {
      await rm(directory, { recursive: true });
    }
  }
}

function layersOfPart(spec: ModelSpec, weightsMax: number): number {
  const embeddings = spec.vocabSize * spec.hiddenSize * (spec.tiedEmbeddings ? 1 : 2);
  return Math.max(1, Math.floor((weightsMax * spec.layerCount) / (weightCount(spec) - embeddings)));
}
