import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CheckpointError } from '../../../models/files/model-file.ts';
import { decodeBlocks, openGguf, readBlocks } from '../../../models/gguf/gguf-file.ts';
import { writeGguf } from '../../peer/gguf-file.ts';
import { temporaryDirectory } from '../../temporary-directory.ts';

const path = join(temporaryDirectory(), 'model.gguf');
writeGguf(
  path,
  new Map([
    ['general.name', { kind: 'string', value: 'x' }],
    ['words', { kind: 'strings', value: ['one', 'two'] }],
  ]),
  [
    { name: 'a', shape: [2, 32], type: 'Q8_0', read: () => new Float32Array(64) },
    { name: 'b', shape: [3], type: 'F32', read: () => new Float32Array(3) },
  ],
);
const sound = Uint8Array.from(readFileSync(path));

/** Reads everything there is; anything but a CheckpointError is a fault of ours. */
function readAll(bytes: Uint8Array): void {
  writeFileSync(path, bytes);
  try {
    const { tensors, metadata } = openGguf(path);
    for (const value of metadata.values()) {
      if (typeof value !== 'object') continue;
      const elements = value.strings() ?? value.numbers() ?? { length: value.length }; // arrays of arrays have none
      expect(elements).toHaveLength(value.length);
    }
    for (const [name, tensor] of tensors) {
      const count = tensor.shape.reduce((a, b) => a * b, 1);
      expect(decodeBlocks(name, tensor, readBlocks(tensor))).toHaveLength(count);
    }
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
  }
}

test('a file with any bytes changed or missing is read within its bounds or refused', () => {
  const change = fc.record({ at: fc.nat(sound.length - 1), byte: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(sound.length), (changes, length) => {
      const bytes = Uint8Array.from(sound);
      for (const { at, byte } of changes) bytes[at] = byte;
      readAll(bytes);
      readAll(bytes.subarray(0, length));
    }),
    { numRuns: 300 },
  );
});
