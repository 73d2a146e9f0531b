// The tensor types of GGUF: number in the file, name, block, and how its blocks become float32 where we read them.
// The others are known by name and size only, so that a file that has them is refused in plain words. Pure data.
// Before it: gguf-file.ts; after it: small-blocks.ts and super-blocks.ts. Source of the numbers: enum ggml_type.
import {
  type BlockDecoder,
  decodeBf16,
  decodeF16,
  decodeF32,
  decodeIq4Nl,
  decodeMxfp4,
  decodeQ4_0,
  decodeQ4_1,
  decodeQ5_0,
  decodeQ5_1,
  decodeQ8_0,
} from './small-blocks.ts';
import { decodeIq4Xs, decodeQ2K, decodeQ3K, decodeQ4K, decodeQ5K, decodeQ6K } from './super-blocks.ts';

export interface BlockType {
  readonly name: string;
  readonly length: number; // values a block
  readonly size: number; // bytes a block
  readonly decode: BlockDecoder | null; // null: not read
}

/** By number in the file. */
export const blockTypes: ReadonlyMap<number, BlockType> = new Map(
  (
    [
      [0, 'F32', 1, 4, decodeF32],
      [1, 'F16', 1, 2, decodeF16],
      [2, 'Q4_0', 32, 18, decodeQ4_0],
      [3, 'Q4_1', 32, 20, decodeQ4_1],
      [6, 'Q5_0', 32, 22, decodeQ5_0],
      [7, 'Q5_1', 32, 24, decodeQ5_1],
      [8, 'Q8_0', 32, 34, decodeQ8_0],
      [9, 'Q8_1', 32, 40, null],
      [10, 'Q2_K', 256, 84, decodeQ2K],
      [11, 'Q3_K', 256, 110, decodeQ3K],
      [12, 'Q4_K', 256, 144, decodeQ4K],
      [13, 'Q5_K', 256, 176, decodeQ5K],
      [14, 'Q6_K', 256, 210, decodeQ6K],
      [15, 'Q8_K', 256, 292, null],
      [16, 'IQ2_XXS', 256, 66, null],
      [17, 'IQ2_XS', 256, 74, null],
      [18, 'IQ3_XXS', 256, 98, null],
      [19, 'IQ1_S', 256, 50, null],
      [20, 'IQ4_NL', 32, 18, decodeIq4Nl],
      [21, 'IQ3_S', 256, 110, null],
      [22, 'IQ2_S', 256, 82, null],
      [23, 'IQ4_XS', 256, 136, decodeIq4Xs],
      [24, 'I8', 1, 1, null],
      [25, 'I16', 1, 2, null],
      [26, 'I32', 1, 4, null],
      [27, 'I64', 1, 8, null],
      [28, 'F64', 1, 8, null],
      [29, 'IQ1_M', 256, 56, null],
      [30, 'BF16', 1, 2, decodeBf16],
      [34, 'TQ1_0', 256, 54, null],
      [35, 'TQ2_0', 256, 66, null],
      [39, 'MXFP4', 32, 17, decodeMxfp4],
      [40, 'NVFP4', 64, 36, null],
      [41, 'Q1_0', 128, 18, null],
    ] as const
  ).map(([id, name, length, size, decode]) => [id, { name, length, size, decode }]),
);

/** Names of the types that can be read, for messages. */
export function readableTypeNames(): string {
  return [...blockTypes.values()].flatMap(({ name, decode }) => (decode === null ? [] : [name])).join(', ');
}
