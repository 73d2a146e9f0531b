// The webgpu backend on whatever adapter WebGPU finds here, such as SwiftShader: tokens equal those of the reference
// decoder, KV stays on the device, and what crosses is counted. Skips where there is no adapter.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildTinyGraph, CpuRig, promptOf, rowOf, type TinyGraph } from '../cpu-rig.ts';
import { adapterProblem } from '../software-adapter.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const problem = adapterProblem();
if (problem !== null) console.log(`skipped: ${problem}`);
const directory = temporaryDirectory();
const slotTokensMax = 96;
const timeout = 600_000; // an emulated adapter compiles its shaders on this machine's cores

describe.skipIf(problem !== null)('the webgpu backend', { timeout }, () => {
  let tiny: TinyGraph;
  let rig: CpuRig;
  let rowTokensMax: number;
  const told: string[] = [];

  beforeAll(async () => {
    tiny = await buildTinyGraph(directory);
    const log = {
      info: (message: string) => void told.push(message),
      warn: (message: string) => void told.push(message),
    };
    const sizes = { slotCount: 4, slotTokensMax, rowTokensMax: 40, stepTokensMax: 80 };
    rig = await CpuRig.open(tiny.graph, {
      provider: 'webgpu',
      sizes,
      log,
      stepTimeoutMs: timeout,
      openTimeoutMs: timeout,
    });
    rowTokensMax = rig.backend.limits.rowTokensMax;
  }, timeout);
  afterAll(() => rig?.backend.close());

  function release(...slots: number[]): void {
    for (const slot of slots) rig.backend.releaseSlot(0, slot);
  }

  function continued(prompt: readonly number[], count: number): number[] {
    return [...prompt, ...tiny.reference.greedy(prompt, count)];
  }

  const carried = () => ({ ...rig.backend.carriedBytes });

  test('says what computes, and that it agrees with the cpu', () => {
    expect(rig.backend.name).toBe('webgpu');
    expect(rig.backend.adapter).not.toBe('');
    expect(told).toContain('the device agrees with the cpu');
    expect(told.some((message) => message.includes('longer rows'))).toBe(rowTokensMax < 40);
  });

  test.each([0, 3])('a prompt and its decode give the reference tokens in seat %d', async (slot) => {
    for (const size of [rowTokensMax, 5]) {
      const prompt = promptOf(1, 33);
      const tokens = [...prompt, await rig.prefill({ slot }, prompt, size)];
      for (let i = 0; i < 5; i++) await rig.decode(new Map([[slot, tokens]]));
      expect(tokens).toEqual(continued(prompt, 6));
      release(slot);
    }
  });

  test('sequences of different lengths decode together as alone, with a gap that keeps what it holds', async () => {
    const prompts = new Map([0, 1, 3].map((slot) => [slot, promptOf(slot + 2, 3 + 5 * slot)]));
    const running = new Map<number, number[]>();
    for (const [slot, prompt] of prompts)
      running.set(slot, [...prompt, await rig.prefill({ slot }, prompt, rowTokensMax)]);
    const paused = new Map([...running].filter(([slot]) => slot !== 1));
    for (let i = 0; i < 3; i++) await rig.decode(paused);
    for (let i = 0; i < 2; i++) await rig.decode(running);
    for (const [slot, prompt] of prompts)
      expect(running.get(slot)).toEqual(continued(prompt, slot === 1 ? 3 : 6));
    release(0, 1, 3);
  });

  test('a seat that is full to its last token is neither overwritten nor in the way', async () => {
    const full = promptOf(9, slotTokensMax);
    await rig.prefill({ slot: 1 }, full.slice(0, slotTokensMax - 1), rowTokensMax);
    const drawnAt = async () => {
      const position = slotTokensMax - 1;
      const [last] = await rig.step({ rows: [{ slot: 1, position, tokens: [full[position]!] }] });
      return last!.tokens[0];
    };
    const expected = tiny.reference.greedy(full, 1)[0];
    expect(await drawnAt()).toBe(expected);
    const prompts = new Map([0, 2, 3].map((slot) => [slot, promptOf(slot + 10, 4 + slot)]));
    const running = new Map<number, number[]>();
    for (const [slot, prompt] of prompts) running.set(slot, [...prompt, await rig.prefill({ slot }, prompt)]);
    for (let i = 0; i < 2; i++) await rig.decode(running);
    for (const [slot, prompt] of prompts) expect(running.get(slot)).toEqual(continued(prompt, 3));
    expect(await drawnAt()).toBe(expected);
    release(0, 1, 2, 3);
  });

  test('several rounds of one step give the tokens of as many steps', async () => {
    const prompt = promptOf(4, 7);
    const first = await rig.prefill({ slot: 2 }, prompt);
    const rows = [{ slot: 2, position: prompt.length, tokens: [first] }];
    const rounds: number[] = [];
    const whole = { replica: 0, restores: [], saves: [], rounds: 3 };
    const last = await new Promise<number>((resolve, reject) => {
      rig.backend.step(
        { ...whole, rows: rows.map(rowOf) },
        (outcome) => {
          if (outcome.ok) resolve(outcome.rows[0]!.tokens[0]!);
          else reject(new Error(outcome.failure.message));
        },
        (outcomes) => rounds.push(...outcomes.map(({ rows: [row] }) => row!.tokens[0]!)),
      );
    });
    expect([...prompt, first, ...rounds, last]).toEqual(continued(prompt, 4));
    release(2);
  });

  test('blocks leave one seat and enter others, and are what the cpu has', async () => {
    const prompt = promptOf(5, 22);
    const saves = [0, 1, 2, 3].map((index) => ({ slot: 2, position: 4 * index, block: 10 + index }));
    await rig.step({ rows: [{ slot: 2, position: 0, tokens: prompt.slice(0, 16) }], saves });
    release(2);
    const cpu = await CpuRig.open(tiny.graph, { sizes: { slotCount: 4, slotTokensMax } });
    await cpu.step({ rows: [{ slot: 2, position: 0, tokens: prompt.slice(0, 16) }], saves });
    for (const block of [10, 13]) {
      const [own, others] = [rig, cpu].map(({ backend }) => {
        const bytes = new Uint8Array(backend.blockBytes);
        backend.readBlock(block, bytes);
        return new Float32Array(bytes.buffer);
      });
      const furthest = own!.reduce(
        (most, number, index) => Math.max(most, Math.abs(number - others![index]!)),
        0,
      );
      expect(furthest).toBeLessThan(1e-4);
    }
    await cpu.backend.close();
    for (const slot of [0, 3]) {
      const restores = [{ slot, position: 0, blocks: [10, 11, 12, 13] }];
      const [drawn] = await rig.step({
        restores,
        rows: [{ slot, position: 16, tokens: prompt.slice(16) }],
      });
      expect(drawn!.tokens).toEqual(tiny.reference.greedy(prompt, 1));
      release(slot);
    }
  });

  test('a token carries inputs and logits, however long its context is; a block carries itself', async () => {
    const { vocabSize } = rig.backend.limits;
    const prompt = promptOf(6, 80);
    const carriedBy = async (step: Parameters<CpuRig['step']>[0]) => {
      const before = carried();
      await rig.step(step);
      const after = carried();
      return {
        toDevice: after.toDevice - before.toDevice,
        fromDevice: after.fromDevice - before.fromDevice,
      };
    };
    await rig.prefill({ slot: 0 }, prompt.slice(0, 5));
    const short = await carriedBy({ rows: [{ slot: 0, position: 5, tokens: [prompt[5]!] }] });
    await rig.prefill({ slot: 0, position: 6 }, prompt, rowTokensMax);
    const row = { slot: 0, position: 80, tokens: [1] };
    const long = await carriedBy({ rows: [row] });
    expect(long).toEqual(short);
    expect(long.fromDevice).toBe(4 * (vocabSize + 2 * tiny.graph.topCount + 1));
    expect(long.toDevice).toBeLessThan(64);
    const again = { rows: [{ ...row, position: 81 }] };
    const saved = await carriedBy({ ...again, saves: [{ slot: 0, position: 76, block: 3 }] });
    expect(saved.fromDevice - long.fromDevice).toBe(rig.backend.blockBytes);
    const restored = await carriedBy({
      restores: [{ slot: 1, position: 0, blocks: [3] }],
      rows: [{ slot: 1, position: 4, tokens: [1] }],
    });
    expect(restored.toDevice).toBeGreaterThan(rig.backend.blockBytes);
    expect(restored.toDevice).toBeLessThan(rig.backend.blockBytes + 512);
    release(0, 1);
  });

  test('seats outlive their worker; a failed step costs its rows', async () => {
    const prompt = promptOf(8, 12);
    const tokens = [...prompt, await rig.prefill({ slot: 1 }, prompt)];
    for (const fault of ['throw', 'exit'] as const) {
      rig.backend.injectFault(0, fault);
      const outcome = await rig.try({ rows: [{ slot: 0, position: 0, tokens: [1] }] });
      expect(outcome).toMatchObject({ ok: false, failure: { lost: 'rows' } });
      release(0);
      await rig.decode(new Map([[1, tokens]]));
    }
    expect(tokens).toEqual(continued(prompt, 3));
    release(1);
  });
});
