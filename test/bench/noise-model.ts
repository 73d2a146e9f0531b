// Checkpoints of noise for benches: any config's tensors in bfloat16, written one after another, so that no model is whole in
// memory.
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../kernels/random.ts';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import { requiredTensors } from '../../models/weights/required-tensors.ts';

const partSize = 8 * 2 ** 20; // bytes

/** Into `directory`, which is made: config.json and model.safetensors. */
export function writeNoiseModel(directory: string, config: object): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  const header: Record<string, object> = {};
  let offset = 0;
  for (const [name, shape] of requiredTensors(readModelSpec(directory))) {
    const size = 2 * shape.reduce((product, dim) => product * dim, 1);
    header[name.replace('mlp.router', 'mlp.gate')] = {
      dtype: 'BF16',
      shape,
      data_offsets: [offset, offset + size],
    };
    offset += size;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const noise = noiseBytes(partSize);
  const file = openSync(join(directory, 'model.safetensors'), 'w');
  writeSync(file, Buffer.concat([length, text]));
  for (let left = offset; left > 0; left -= noise.length)
    writeSync(file, noise.subarray(0, Math.min(left, noise.length)));
  closeSync(file);
}

/** bfloat16 about ±0.02, as weights are. */
function noiseBytes(size: number): Uint8Array {
  const random = new Random(7);
  const values = Float32Array.from({ length: size / 2 }, () => (random.next() - 0.5) * 0.08);
  return new Uint8Array(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer);
}
