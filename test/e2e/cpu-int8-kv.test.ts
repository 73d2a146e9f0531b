// KV as int8 on real kernels: near fp32, the same however a prompt is cut and whoever shares the step, and copied in and
// out of blocks without loss.
import { existsSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildTinyGraph, CpuRig, greedy, promptOf, type TinyGraph } from '../cpu-rig.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
const int8Kv = { tokens: Int32Array.from(promptOf(9, 90)), file: join(directory, 'scales.bin') };
const sampling = { ...greedy, logprobs: 5 };
let tiny: TinyGraph;

beforeAll(async () => {
  tiny = await buildTinyGraph(directory);
});

describe.each(['c-api', 'binding'] as const)('through %s,', (runtime) => {
  let rig: CpuRig;

  beforeAll(async () => {
    rig = await CpuRig.open(tiny.graph, { runtime, int8Kv });
  });
  afterAll(() => rig?.backend.close());

  /** Log-probabilities after the prompt, computed in chunks of `size`. */
  async function last(prompt: readonly number[], size: number, slot = 0) {
    for (let position = 0; position < prompt.length; position += size) {
      const tokens = prompt.slice(position, position + size);
      const [row] = await rig.step({ rows: [{ slot, position, tokens, sampling }] });
      if (position + size >= prompt.length) return row!.logprobs![0]!;
    }
    throw new Error('an empty prompt');
  }

  test('a prompt gives the same numbers however it is cut, near those of fp32', async () => {
    const prompt = promptOf(1, 48);
    const wholes = [];
    for (const size of [16, 4, 3]) {
      wholes.push(await last(prompt, size));
      rig.backend.releaseSlot(0, 0);
    }
    expect(wholes[1]).toEqual(wholes[0]);
    expect(wholes[2]).toEqual(wholes[0]);
    const exact = await CpuRig.open(tiny.graph, { runtime });
    for (let position = 0; position < 48; position += 16) {
      const tokens = prompt.slice(position, position + 16);
      const [row] = await exact.step({ rows: [{ slot: 0, position, tokens, sampling }] });
      if (position < 32) continue;
      // Random weights: in a trained model it is a hundredth of that (PERFORMANCE.md, "KV as int8").
      const { topTokens, topLogprobs } = row!.logprobs![0]!;
      expect(wholes[0]!.topTokens.slice(0, 3).toSorted()).toEqual(topTokens.slice(0, 3).toSorted());
      expect(Math.abs(wholes[0]!.topLogprobs[0]! - topLogprobs[0]!)).toBeLessThan(0.2);
    }
    await exact.backend.close();
  });

  test('guesses are judged by the very numbers of one token at a time', async () => {
    const prompt = promptOf(4, 20);
    const guesses = promptOf(5, 4);
    for (const slot of [2, 4]) await rig.prefill({ slot }, prompt);
    const singles = [];
    for (const [index, token] of guesses.entries()) {
      const [row] = await rig.step({ rows: [{ slot: 2, position: 20 + index, tokens: [token], sampling }] });
      singles.push(row!.logprobs![0]!);
    }
    const row = { slot: 4, position: 20, tokens: guesses, sampleCount: guesses.length, sampling };
    const [together] = await rig.step({ rows: [row] });
    expect(together!.logprobs).toEqual(singles);
    for (const slot of [2, 4]) rig.backend.releaseSlot(0, slot);
  });

  test('a block saved and restored into another seat continues as if it had been computed there', async () => {
    const prompt = promptOf(2, 16);
    const tokens = prompt.slice(0, 12);
    const saves = [0, 1, 2].map((block) => ({ slot: 1, position: 4 * block, block }));
    await rig.step({ rows: [{ slot: 1, position: 0, tokens, sampleCount: 0 }], saves });
    const content = new Uint8Array(rig.backend.blockBytes);
    const { layerCount, kvHeadCount, headSize } = tiny.graph.spec;
    expect(content.length).toBe(2 * layerCount * kvHeadCount * headSize * 4); // bytes of 4 tokens: one a number
    for (const block of [0, 1, 2]) {
      rig.backend.readBlock(block, content);
      rig.backend.writeBlock(block + 10, content);
    }
    const restores = [{ slot: 5, position: 0, blocks: [10, 11, 12] }];
    const rest = { position: 12, tokens: prompt.slice(12), sampling };
    const [there] = await rig.step({ rows: [{ slot: 5, ...rest }], restores });
    const [here] = await rig.step({ rows: [{ slot: 1, ...rest }] });
    expect(there!.logprobs).toEqual(here!.logprobs);
    for (const slot of [1, 5]) rig.backend.releaseSlot(0, slot);
  });

  test('sequences decode together as they do alone', async () => {
    const alone = new Map<number, number[]>();
    for (const slot of [0, 1, 3]) {
      const prompt = promptOf(slot + 3, 9 + slot);
      const tokens = [...prompt, await rig.prefill({ slot: 6 }, prompt)];
      for (let i = 0; i < 4; i++) await rig.decode(new Map([[6, tokens]]));
      alone.set(slot, tokens);
      rig.backend.releaseSlot(0, 6);
    }
    const together = new Map<number, number[]>();
    for (const slot of alone.keys()) {
      const prompt = promptOf(slot + 3, 9 + slot);
      together.set(slot, [...prompt, await rig.prefill({ slot }, prompt)]);
    }
    for (let i = 0; i < 4; i++) await rig.decode(together);
    expect(together).toEqual(alone);
  });
});

test('scales are measured once and again if their file is torn', async () => {
  expect(existsSync(int8Kv.file)).toBe(true);
  const measured = readFileSync(int8Kv.file);
  truncateSync(int8Kv.file, 10);
  const rig = await CpuRig.open(tiny.graph, { int8Kv });
  expect(readFileSync(int8Kv.file).equals(measured)).toBe(true);
  await rig.backend.close();
});
