// What a dead, hung or refusing worker costs: exactly the rows it held, or the seats it may still write to; never the
// block store, never the next step.
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { StepOutcome } from '../../kernels/backend.ts';
import { VirtualClock } from '../../kernels/clock.ts';
import { OrtError } from '../../kernels/onnx/ort.ts';
import { buildTinyGraph, CpuRig, promptOf, type RigOptions, type TinyGraph } from '../cpu-rig.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
let tiny: TinyGraph;
let rig: CpuRig;

beforeAll(async () => {
  tiny = await buildTinyGraph(directory);
});
afterEach(() => rig?.backend.close());

const stepTimeoutMs = 5000;
const prompt = promptOf(1, 10);
const neighbour = promptOf(2, 13);

async function open(options: RigOptions = {}): Promise<void> {
  rig = await CpuRig.open(tiny.graph, { stepTimeoutMs, ...options });
}

/** Seats 0 and 1 of replica 0 hold sequences; the first 8 tokens of seat 1 are in blocks 0 and 1. */
async function seatTwo(): Promise<Map<number, number[]>> {
  const first = await rig.prefill({ slot: 0 }, prompt);
  const [second] = await rig.step({
    rows: [{ slot: 1, position: 0, tokens: neighbour }],
    saves: [0, 1].map((block) => ({ slot: 1, position: 4 * block, block })),
  });
  return new Map([
    [0, [...prompt, first]],
    [1, [...neighbour, second!.tokens[0]!]],
  ]);
}

const decodeOfSeat0 = (sequences: Map<number, number[]>) => {
  const tokens = sequences.get(0)!;
  return { rows: [{ slot: 0, position: tokens.length - 1, tokens: [tokens.at(-1)!] }] };
};

/** What is left of seat 1 goes on as if nothing had happened. */
async function expectNeighbourAlive(sequences: Map<number, number[]>): Promise<void> {
  const tokens = sequences.get(1)!;
  for (let i = 0; i < 2; i++) await rig.decode(new Map([[1, tokens]]));
  expect(tokens).toEqual([...neighbour, ...tiny.reference.greedy(neighbour, 3)]);
}

/** All seats are lost: seat 1 comes back from the block store, seat 0 from its tokens. */
async function expectRecovery(): Promise<void> {
  for (const slot of [0, 1]) rig.backend.releaseSlot(0, slot);
  const [outcome] = await rig.step({
    restores: [{ slot: 1, position: 0, blocks: [0, 1] }],
    rows: [{ slot: 1, position: 8, tokens: neighbour.slice(8) }],
  });
  expect(outcome!.tokens).toEqual(tiny.reference.greedy(neighbour, 1));
  expect(await rig.prefill({ slot: 0 }, prompt)).toBe(tiny.reference.greedy(prompt, 1)[0]);
}

/** Time may go on without anybody having run. */
class SleepyClock extends VirtualClock {
  #sleptMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.#sleptMs;
  }

  /** Whatever is due next is found to be late. */
  sleep(ms: number): void {
    this.#sleptMs += ms;
    this.step();
  }

  wake(ms: number): void {
    this.run(super.nowMs() + ms);
  }
}

describe.each(['exit', 'uncaught', 'terminate'] as const)('a worker that dies (%s)', (kind) => {
  test('loses the rows it held and no seat; the next step works', async () => {
    await open();
    const sequences = await seatTwo();
    const lost = dying(kind, sequences);
    await expect(lost).resolves.toMatchObject({ ok: false, failure: { code: 'worker-died', lost: 'rows' } });
    await expectNeighbourAlive(sequences);
    await expectRecovery();
  });

  test('loses all seats where the memory was its own, and not the block store', async () => {
    await open({ runtime: 'binding' });
    const sequences = await seatTwo();
    const lost = dying(kind, sequences);
    await expect(lost).resolves.toMatchObject({ ok: false, failure: { code: 'worker-died', lost: 'slots' } });
    await expectRecovery();
  });

  function dying(fault: typeof kind, sequences: Map<number, number[]>) {
    rig.backend.injectFault(0, fault === 'terminate' ? 'hang' : fault);
    const lost = rig.try(decodeOfSeat0(sequences));
    if (fault === 'terminate') void rig.backend.terminateWorker(0);
    return lost;
  }
});

describe.each(['c-api', 'binding'] as const)('through %s,', (runtime) => {
  test('a worker that hangs is replaced with fresh seats, and what it held can be computed again', async () => {
    const clock = new VirtualClock();
    await open({ runtime, clock });
    const sequences = await seatTwo();
    rig.backend.injectFault(0, 'hang');
    const lost = rig.try(decodeOfSeat0(sequences));
    clock.run(clock.nowMs() + stepTimeoutMs);
    await expect(lost).resolves.toMatchObject({ ok: false, failure: { code: 'worker-hung', lost: 'slots' } });
    await expectRecovery();
  });

  test('a pause of the whole process is no fault of the worker: what it held is only lost to a real hang', async () => {
    const clock = new SleepyClock();
    await open({ runtime, clock });
    const sequences = await seatTwo();
    rig.backend.injectFault(0, 'hang');
    let outcome: StepOutcome | null = null;
    const lost = rig.try(decodeOfSeat0(sequences)).then((answer) => {
      outcome = answer;
    });
    for (let night = 0; night < 20; night++) {
      clock.sleep(8 * 3_600_000);
      await new Promise(setImmediate);
      expect(outcome).toBe(null);
    }
    clock.wake(stepTimeoutMs);
    await lost;
    expect(outcome).toMatchObject({ ok: false, failure: { code: 'worker-hung', lost: 'slots' } });
    await expectRecovery();
  });

  test('an error of ONNX Runtime fails its step only', async () => {
    await open({ runtime });
    const sequences = await seatTwo();
    rig.backend.injectFault(0, 'throw');
    const lost = rig.try(decodeOfSeat0(sequences));
    await expect(lost).resolves.toMatchObject({ ok: false, failure: { code: 'step-failed', lost: 'rows' } });
    await expectNeighbourAlive(sequences);
    await expectRecovery();
  });

  test('a worker that died between two steps is noticed by the next one', async () => {
    await open({ runtime });
    const sequences = await seatTwo();
    const ended = rig.backend.terminateWorker(0);
    await ended;
    const outcome = await rig.try(decodeOfSeat0(sequences));
    if (runtime === 'c-api') {
      expect(outcome).toMatchObject({ ok: true });
      await expectNeighbourAlive(sequences);
    } else {
      expect(outcome).toMatchObject({ ok: false, failure: { code: 'worker-died', lost: 'slots' } });
    }
    await expectRecovery();
  });
});

test('other replicas go on while one is being replaced', async () => {
  await open({ sizes: { replicaCount: 2 } });
  const other = await rig.prefill({ replica: 1, slot: 0 }, prompt);
  const tokens = [...prompt, other];
  rig.backend.injectFault(0, 'exit');
  const lost = rig.try({ rows: [{ slot: 0, position: 0, tokens: [1] }] });
  await rig.decode(new Map([[0, tokens]]), 1);
  expect(await lost).toMatchObject({ ok: false });
  await rig.decode(new Map([[0, tokens]]), 1);
  expect(tokens).toEqual([...prompt, ...tiny.reference.greedy(prompt, 3)]);
});

test('a worker may die many times over', async () => {
  await open();
  for (let i = 0; i < 4; i++) {
    rig.backend.injectFault(0, 'exit');
    const lost = rig.try({ rows: [{ slot: 0, position: 0, tokens: [1] }] });
    expect(await lost).toMatchObject({ ok: false, failure: { code: 'worker-died' } });
  }
  expect(await rig.prefill({ slot: 0 }, prompt)).toBe(tiny.reference.greedy(prompt, 1)[0]);
});

test('close waits for the step in flight and can be called again', async () => {
  await open();
  let isAnswered = false;
  const answered = rig.try({ rows: [{ slot: 0, position: 0, tokens: prompt }] }).then((outcome) => {
    isAnswered = true;
    return outcome;
  });
  const closed = rig.backend.close();
  expect(rig.backend.close()).toBe(closed);
  await closed;
  expect(isAnswered).toBe(true);
  expect(await answered).toMatchObject({ ok: true });
});

test('a hung worker does not keep the backend from closing', async () => {
  const clock = new VirtualClock();
  await open({ clock });
  rig.backend.injectFault(0, 'hang');
  const lost = rig.try({ rows: [{ slot: 0, position: 0, tokens: [1] }] });
  const closed = rig.backend.close();
  clock.run(clock.nowMs() + stepTimeoutMs);
  expect(await lost).toMatchObject({ ok: false, failure: { code: 'worker-hung' } });
  await closed;
});

test('a model that cannot be loaded is refused at start', async () => {
  const graph = { ...tiny.graph, modelPath: '/nowhere/model.onnx', bindingModelPath: '/nowhere/model.onnx' };
  await expect(CpuRig.open(graph)).rejects.toThrow(OrtError);
  await expect(CpuRig.open(graph, { runtime: 'binding' })).rejects.toThrow('/nowhere/model.onnx');
});
