// A norm divides by what its model says, with or without the residual's sum in front: a fixed epsilon shows in no golden
// logits, as those of small models are far from it.
import { expect, test } from 'vitest';
import type { DecoderContext } from '../../../../models/graph/decoder-context.ts';
import { GraphWriter } from '../../../../models/graph/graph-writer.ts';
import { writeNorm, writeSkipNorm } from '../../../../models/graph/norm-nodes.ts';

test.each(['rms', 'layer'] as const)('epsilon of a norm, alone and behind a sum: %s', (norm) => {
  const writer = new GraphWriter();
  const spec = { norm, rmsNormEps: 0.0375, hiddenSize: 4 };
  const source = { read: () => new Float32Array(4) };
  const context = { spec, writer, source } as unknown as DecoderContext;
  writeNorm(context, { name: 'first', input: 'x', output: 'y', size: 4 });
  writeSkipNorm(context, { name: 'second', branch: 'y', residual: 'x', keepSum: true });
  writeNorm(context, { name: 'own', input: 'y', output: 'z', size: 4, epsilon: 0.25 });
  const epsilons = writer.nodes.flatMap(({ attributes }) => attributes['epsilon'] ?? []);
  expect(epsilons).toEqual([{ float: 0.0375 }, { float: 0.0375 }, { float: 0.25 }]);
});
