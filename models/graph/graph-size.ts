// How large a graph's weights will be, from the dimensions alone: said before anything is converted. Pure. Before it:
// server/device/device.ts asks; after it: decoder.ts lists the tensors.
import type { ModelSpec } from '../spec.ts';
import type { WeightSource } from '../weights/weights.ts';
import { type DecoderFormat, writeDecoder } from './decoder.ts';
import { tensorSize } from './graph-writer.ts';

/** Bytes. `source` is asked how its tensors are stored, never read. */
export function graphSize(
  spec: ModelSpec,
  format: Pick<DecoderFormat, 'precision' | 'ownKernels'>,
  source: WeightSource,
): number {
  const { recipes } = writeDecoder(spec, { ...format, kv: 'fp32' }, source);
  return recipes.flatMap(({ tensors }) => tensors).reduce((sum, tensor) => sum + tensorSize(tensor), 0);
}

/** Null where the weights fit into this memory, else the refusal in words. */
export function sizeProblem(size: number, memorySize: number): string | null {
  if (size <= memorySize) return null;
  const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
  return (
    `its weights take ${gib(size)} GiB here, this machine has ${gib(memorySize)} GiB of memory: take a smaller model of the ` +
    'family, or, of a GGUF file, one in Q4_0'
  );
}
