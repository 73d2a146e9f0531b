// Norms as nodes: RMS or centred, alone or with the residual's sum in front. Before it: decoder.ts; after it:
// graph-writer.ts.
import type { DecoderContext } from './decoder-context.ts';
import { bytesOf } from './graph-writer.ts';

/** `input` [..., size] normalised along its last axis, by the gains (and, where there are any, shifts) of `name`. `epsilon`: if not the model's. */
export function writeNorm(
  context: DecoderContext,
  norm: { name: string; input: string; output: string; size: number; epsilon?: number },
): string {
  const { spec, writer } = context;
  const { name, input, output, size, epsilon = spec.rmsNormEps } = norm;
  const operator = spec.norm === 'rms' ? 'SimplifiedLayerNormalization' : 'LayerNormalization';
  return writer.node(operator, output, [input, ...gains(context, name, size)], {
    axis: { int: -1 },
    epsilon: { float: epsilon },
  });
}

/**
 * Adds a branch to the residual and normalises the sum: [normed, sum]; the sum is the next residual where one is needed,
 * else ''. RMS as two nodes: one row takes them as long as the operator that does both, several half as long.
 */
export function writeSkipNorm(
  context: DecoderContext,
  { name, branch, residual, keepSum }: { name: string; branch: string; residual: string; keepSum: boolean },
): [string, string] {
  const { spec, writer } = context;
  const [output, sum] = [`${name}.normed`, `${name}.sum`];
  if (spec.norm === 'rms') {
    writer.node('Add', sum, [branch, residual]);
    return [writeNorm(context, { name, input: sum, output, size: spec.hiddenSize }), sum];
  }
  const outputs = [output, ...(keepSum ? ['', '', sum] : [])];
  writer.contrib(
    'SkipLayerNormalization',
    outputs,
    [branch, residual, ...gains(context, name, spec.hiddenSize)],
    { epsilon: { float: spec.rmsNormEps } },
  );
  return [output, keepSum ? sum : ''];
}

function gains({ spec, source, writer }: DecoderContext, name: string, size: number): readonly string[] {
  const names = spec.norm === 'rms' ? [`${name}.weight`] : [`${name}.weight`, `${name}.bias`];
  for (const each of names) {
    writer.weights({
      tensors: [{ name: each, type: 'float', shape: [size] }],
      produce: () => [bytesOf(source.read(each))],
    });
  }
  return names;
}
