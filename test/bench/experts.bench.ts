// What a token costs a mixture of experts: with the experts that it uses, not with those that there are. One decoder with 4
// active experts of 8, 32 and 128, beside a dense one of the size of the active ones; decode steps in turn, ratios of
// neighbours in time. The weights are noise. Run: npx tsx test/bench/experts.bench.ts (0.4 GB in a temporary directory)
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSession } from '../../kernels/onnx/ort.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import { weightCount } from '../../models/spec.ts';
import { GraphRunner } from '../golden/graph-runner.ts';
import { writeNoiseModel } from './noise-model.ts';
import { median } from './samples.ts';

const [hidden, inner, active] = [512, 512, 4];
const contextTokens = 64;
const rounds = 30;
const common = {
  ...{
    vocab_size: 4096,
    hidden_size: hidden,
    num_hidden_layers: 6,
    num_attention_heads: 8,
    num_key_value_heads: 2,
  },
  ...{
    head_dim: 64,
    max_position_embeddings: 512,
    rope_theta: 1e6,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
  },
  ...{ hidden_act: 'silu', bos_token_id: 1, eos_token_id: 2 },
};
const models: Readonly<Record<string, object>> = {
  dense: { ...common, architectures: ['Qwen3ForCausalLM'], intermediate_size: active * inner },
  ...Object.fromEntries(
    [8, 32, 128].map((count) => [
      `${active} of ${count}`,
      {
        ...{ ...common, architectures: ['Qwen3MoeForCausalLM'], intermediate_size: inner },
        ...{
          num_experts: count,
          num_experts_per_tok: active,
          moe_intermediate_size: inner,
          norm_topk_prob: true,
        },
      },
    ]),
  ),
};
const directory = mkdtempSync(join(tmpdir(), 'sparklane-experts-'));
try {
  const runners = new Map<string, GraphRunner>();
  for (const [name, config] of Object.entries(models)) runners.set(name, await open(name, config));
  const times = new Map([...runners.keys()].map((name) => [name, [] as number[]]));
  for (let round = -2; round < rounds; round++) {
    for (const [name, runner] of runners) {
      const startMs = performance.now();
      // Another token each time, so that other experts are asked.
      runner.decode(0, [3 + (((round + 2) * 37) % 4000)], [contextTokens]);
      if (round >= 0) times.get(name)!.push(performance.now() - startMs);
    }
  }
  const [, smallest] = [...times.keys()];
  console.table(
    [...runners].map(([name, { graph }]) => ({
      experts: name,
      'M weights': (weightCount(graph.spec) / 1e6).toFixed(0),
      'decode ms': median(times.get(name)!).toFixed(2),
      'times that of the smallest mixture': median(
        times.get(name)!.map((ms, at) => ms / times.get(smallest!)![at]!),
      ).toFixed(2),
    })),
  );
  for (const runner of runners.values()) runner.release();
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function open(name: string, config: object): Promise<GraphRunner> {
  const model = join(directory, name.replaceAll(' ', '-'));
  writeNoiseModel(model, config);
  const graph = await buildGraph(loadCheckpoint(model), {
    precision: 'int8',
    cacheDirectory: join(directory, 'cache'),
  });
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 2, spinning: false });
  const runner = new GraphRunner(session, graph, { slotCount: 1, capacity: 128 });
  runner.prefill(
    0,
    Array.from({ length: contextTokens }, (_, at) => 3 + at),
    contextTokens,
  );
  return runner;
}
