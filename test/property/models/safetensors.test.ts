import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CheckpointError } from '../../../models/files/model-file.ts';
import { openSafetensors, readTensor } from '../../../models/weights/safetensors.ts';
import { safetensorsBytes } from '../../golden/safetensors-writer.ts';
import { temporaryDirectory } from '../../temporary-directory.ts';

const path = join(temporaryDirectory(), 'model.safetensors');
const header = JSON.stringify({
  __metadata__: { format: 'pt' },
  a: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
  b: { dtype: 'BF16', shape: [3], data_offsets: [16, 22] },
  c: { dtype: 'F16', shape: [], data_offsets: [22, 24] },
});
const sound = safetensorsBytes(
  header,
  Uint8Array.from({ length: 24 }, (_, i) => i),
);

/** Reads everything there is; anything but a CheckpointError is a fault of ours. */
function readAll(bytes: Uint8Array): void {
  writeFileSync(path, bytes);
  try {
    const file = openSafetensors(path);
    for (const [name, { shape }] of file.tensors) {
      expect(readTensor(file, name)).toHaveLength(shape.reduce((a, b) => a * b, 1));
    }
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
  }
}

test('a file with any bytes changed is read within its bounds or refused', () => {
  const change = fc.record({ at: fc.nat(sound.length - 1), byte: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(sound.length), (changes, length) => {
      const bytes = Uint8Array.from(sound);
      for (const { at, byte } of changes) bytes[at] = byte;
      readAll(bytes);
      readAll(bytes.subarray(0, length));
    }),
    { numRuns: 500 },
  );
});

test('a file with any header is read within its bounds or refused', () => {
  const number = fc.oneof(fc.integer({ min: -2, max: 40 }), fc.constantFrom(0.5, 2 ** 53, 1e300, '4', null));
  const entry = fc.record({
    dtype: fc.constantFrom('F32', 'F16', 'BF16', 'I64', 'X', 4),
    shape: fc.array(number, { maxLength: 3 }),
    data_offsets: fc.array(number, { minLength: 1, maxLength: 3 }),
  });
  const names = fc.constantFrom('a', 'b', '__metadata__', '__proto__', '');
  fc.assert(
    fc.property(fc.array(fc.tuple(names, fc.oneof(entry, fc.jsonValue())), { maxLength: 3 }), (entries) => {
      const text = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join();
      readAll(safetensorsBytes(`{${text}}`, new Uint8Array(24)));
    }),
    { numRuns: 500 },
  );
});
