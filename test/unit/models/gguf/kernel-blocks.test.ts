import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../../../models/checkpoint/checkpoint.ts';
import { decodeBlocks, openGguf, readBlocks } from '../../../../models/gguf/gguf-file.ts';
import { kernelBlocks, kernelLayout } from '../../../../models/gguf/kernel-blocks.ts';
import { buildGraph } from '../../../../models/graph/build.ts';
import { defaultPrecision } from '../../../../models/graph/precision.ts';
import { writeTinyModel } from '../../../golden/tiny-model.ts';
import { writeGgufModel } from '../../../peer/gguf-model.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const golden = join(import.meta.dirname, '../../../golden/models/gguf-types/types.gguf');

test.each(['Q4_0', 'Q4_1', 'Q4_K', 'Q8_0'])(
  "%s in the kernel's layout is worth exactly what it was",
  (type) => {
    const tensor = openGguf(golden).tensors.get(type)!;
    const bytes = readBlocks(tensor);
    const layout = kernelLayout(type)!;
    const { data, scales, zeroPoints, offsets } = kernelBlocks(bytes, layout, 512);
    expect(zeroPoints === null || zeroPoints.every((pair) => pair === 0x88)).toBe(true);
    expect(offsets !== undefined).toBe(layout.hasOffsets === true);
    const middle = layout.bits === 8 ? 128 : offsets === undefined ? 8 : 0;
    const level = (index: number) =>
      (layout.bits === 8 ? data[index]! : (data[index >> 1]! >> (4 * (index & 1))) & 15) - middle;
    const stored = decodeBlocks(type, tensor, bytes);
    const offsetOf = (index: number) => offsets?.[index >> 5] ?? 0; // makes a zero of −0
    const values = stored.map((_, index) => level(index) * scales[index >> 5]! + offsetOf(index));
    expect(values).toEqual(stored.map((value) => value + 0));
  },
);

test('types without a kernel have no layout', () => {
  expect(['F32', 'Q5_K', 'Q6_K'].map(kernelLayout)).toEqual([null, null, null]);
});

test.each(['Q4_0', 'Q8_0'] as const)(
  'a model of %s is built as it is stored, and says so',
  async (format) => {
    const root = temporaryDirectory();
    const shape = { hiddenSize: 64, ffnSize: 96, headSize: 32, headCount: 4, kvHeadCount: 2 };
    const path = join(root, 'model.gguf');
    const options = { architecture: 'llama', tiedEmbeddings: false, ...shape } as const;
    writeGgufModel(path, loadCheckpoint(writeTinyModel(join(root, 'model'), options)), format);
    const checkpoint = loadCheckpoint(path);
    const precision = defaultPrecision(checkpoint.spec, checkpoint);
    expect(precision).toBe('stored');
    const built = await buildGraph(checkpoint, { precision, cacheDirectory: join(root, 'cache') });
    expect(built.fates).toContain(`${format} to ${format === 'Q4_0' ? 4 : 8} bit as it is`);
    const anew = await buildGraph(checkpoint, { precision: 'fp32', cacheDirectory: join(root, 'cache') });
    expect(anew.fates).toMatch(new RegExp(`^\\d+ ${format} to float, \\d+ F32 to float$`));
  },
);
