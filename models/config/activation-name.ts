// What configs call activations. Before it: checkpoint/checkpoint-config.ts and encoder/encoder-config.ts.
import { CheckpointError } from '../files/model-file.ts';
import type { Activation } from '../spec.ts';

const activations: ReadonlyMap<string, Activation> = new Map([
  ['silu', 'silu'],
  ['swish', 'silu'],
  ['gelu', 'gelu'],
  ['gelu_new', 'gelu-tanh'],
  ['gelu_pytorch_tanh', 'gelu-tanh'],
]);

/** Throws CheckpointError. */
export function activationNamed(
  name: string,
  place: { readonly file: string; readonly field: string },
): Activation {
  const activation = activations.get(name);
  if (activation) return activation;
  throw new CheckpointError(`${name} is not supported (only ${[...activations.keys()].join(', ')})`, place);
}
