// PublishedFormat: in which number format a config.json says that its weights are. Pure. Before it: shape-config.ts.
import type { SimPrecision } from './precision.ts';
import type { ModelShape } from './shapes.ts';
import { UnknownShapeError } from './unknown-shape-error.ts';

const formats: Readonly<Record<string, SimPrecision>> = {
  ...{ mxfp4: 'mxfp4', fp8: 'fp8', fbgemm_fp8: 'fp8', awq: 'int4', gptq: 'int4' },
  ...{ NVFP4: 'nvfp4', FP8: 'fp8', 'nvfp4-pack-quantized': 'nvfp4', 'float-quantized': 'fp8' },
  'pack-quantized': 'int4',
};
const byBits: Readonly<Record<number, SimPrecision>> = { 4: 'int4', 8: 'int8' };

// What quantization_config says, in the words of its makers: a method, ModelOpt's algorithm, or compressed-tensors' format.
export function publishedFormat(
  name: string,
  value: unknown,
): Pick<ModelShape, 'publishedPrecision' | 'hasBlockScales'> {
  if (value === undefined || value === null) return { publishedPrecision: 'fp16', hasBlockScales: false };
  const config = recordOf(value);
  const known = [config['quant_algo'], config['format'], config['quant_method']].find(
    (word): word is string => typeof word === 'string' && word in formats,
  );
  if (known === undefined) {
    const words = JSON.stringify(config['quant_method'] ?? value).slice(0, 60);
    throw new UnknownShapeError(
      `config.json of ${name}: quantization_config is ${words}, a format that is not simulated; known are ${Object.keys(formats).join(', ')}`,
    );
  }
  return {
    publishedPrecision: formats[known] === 'int4' ? integersOf(name, config) : formats[known]!,
    hasBlockScales: config['weight_block_size'] !== undefined && config['weight_block_size'] !== null,
  };
}

// Weights in whole numbers: GPTQ's and AWQ's `bits`, compressed-tensors' `num_bits` of its groups; 4 where none says.
function integersOf(name: string, config: Readonly<Record<string, unknown>>): SimPrecision {
  const groups = Object.values(recordOf(config['config_groups']));
  const ofGroups = groups.map((group) => recordOf(recordOf(group)['weights'])['num_bits']);
  const stated = [config['bits'], ...ofGroups].filter((bits) => bits !== undefined && bits !== null);
  const widest = stated.length === 0 ? 4 : Math.max(...stated.map(Number));
  const found = byBits[widest];
  if (found !== undefined) return found;
  throw new UnknownShapeError(
    `config.json of ${name}: quantization_config has weights of ${stated.join(', ')} bits; simulated are 4 and 8`,
  );
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}
