// Tokens of the cpu backend equal those of the reference decoder, whatever else shares the step, on both runtimes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SamplingParams } from '../../kernels/backend.ts';
import { sampleToken } from '../../kernels/sampling.ts';
import { buildTinyGraph, CpuRig, greedy, promptOf, type RowInput, type TinyGraph } from '../cpu-rig.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
let tiny: TinyGraph;

beforeAll(async () => {
  tiny = await buildTinyGraph(directory);
});

/** The prompt and `count` greedy tokens after it. */
function continued(prompt: readonly number[], count: number): number[] {
  return [...prompt, ...tiny.reference.greedy(prompt, count)];
}

describe.each(['c-api', 'binding'] as const)('through %s,', (runtime) => {
  let rig: CpuRig;

  beforeAll(async () => {
    rig = await CpuRig.open(tiny.graph, { runtime, sizes: { replicaCount: 2 } });
  });
  afterAll(() => rig?.backend.close());

  function release(...slots: number[]): void {
    for (const slot of slots) for (const replica of [0, 1]) rig.backend.releaseSlot(replica, slot);
  }

  test('the backend says which runtime it uses', () => {
    expect(rig.backend.runtime).toBe(runtime);
  });

  test.each([16, 5, 1])(
    'a prompt in chunks of %d tokens and its decode give the reference tokens',
    async (size) => {
      const prompt = promptOf(1, 33);
      const tokens = [...prompt, await rig.prefill({ slot: 3 }, prompt, size)];
      for (let i = 0; i < 5; i++) await rig.decode(new Map([[3, tokens]]));
      expect(tokens).toEqual(continued(prompt, 6));
      release(3);
    },
  );

  test('sequences of different lengths decode together as they do alone, with gaps between their seats', async () => {
    const prompts = new Map([0, 1, 3, 6, 7].map((slot) => [slot, promptOf(slot + 2, 3 + 5 * slot)]));
    const running = new Map<number, number[]>();
    for (const [slot, prompt] of prompts) {
      running.set(slot, [...prompt, await rig.prefill({ slot }, prompt)]);
    }
    // Seat 1 pauses: its neighbours' steps fill its gap and must not touch what it holds.
    const paused = new Map([...running].filter(([slot]) => slot !== 1));
    for (let i = 0; i < 4; i++) await rig.decode(paused);
    for (let i = 0; i < 3; i++) await rig.decode(running);
    for (const [slot, prompt] of prompts) {
      expect(running.get(slot)).toEqual(continued(prompt, slot === 1 ? 4 : 8));
    }
    release(0, 1, 3, 6, 7);
  });

  test('a seat that is full to its last token is neither overwritten nor in the way', async () => {
    const full = promptOf(9, 96);
    const left = promptOf(10, 4);
    const right = promptOf(11, 9);
    await rig.prefill({ slot: 1 }, full.slice(0, 95));
    const drawnAt = async () => {
      const [last] = await rig.step({ rows: [{ slot: 1, position: 95, tokens: [full[95]!] }] });
      return last!.tokens[0];
    };
    const expected = tiny.reference.greedy(full, 1)[0];
    expect(await drawnAt()).toBe(expected);
    const running = new Map([
      [0, [...left, await rig.prefill({ slot: 0 }, left)]],
      [2, [...right, await rig.prefill({ slot: 2 }, right)]],
    ]);
    for (let i = 0; i < 3; i++) await rig.decode(running);
    expect([...running.values()]).toEqual([continued(left, 4), continued(right, 4)]);
    expect(await drawnAt()).toBe(expected);
    release(0, 1, 2);
  });

  test('one step takes decode rows, a first chunk, a later chunk and a row that draws nothing, in any order', async () => {
    const prompts = [promptOf(21, 6), promptOf(22, 12), promptOf(23, 20), promptOf(24, 9)] as const;
    const first = await rig.prefill({ slot: 5 }, prompts[0]);
    await rig.prefill({ slot: 2 }, prompts[2].slice(0, 16));
    await rig.prefill({ slot: 4 }, prompts[3].slice(0, 8));
    const rows: RowInput[] = [
      { slot: 3, position: 0, tokens: prompts[1] },
      { slot: 5, position: 6, tokens: [first] },
      { slot: 2, position: 16, tokens: prompts[2].slice(16) },
      { slot: 4, position: 8, tokens: prompts[3].slice(8), sampleCount: 0 },
    ];
    const outcomes = await rig.step({ rows });
    expect(outcomes.map(({ tokens }) => tokens)).toEqual([
      tiny.reference.greedy(prompts[1], 1),
      [continued(prompts[0], 2).at(-1)],
      tiny.reference.greedy(prompts[2], 1),
      [],
    ]);
    release(2, 3, 4, 5);
  });

  test('saved blocks restore the sequence into another seat of another replica', async () => {
    const prompt = promptOf(5, 22);
    await rig.prefill({ slot: 6 }, prompt.slice(0, 16));
    await rig.step({
      rows: [{ slot: 6, position: 16, tokens: prompt.slice(16) }],
      saves: [0, 1, 2, 3, 4].map((i) => ({ slot: 6, position: 4 * i, block: 40 - 3 * i })),
    });
    const [outcome] = await rig.step({
      replica: 1,
      restores: [
        { slot: 2, position: 0, blocks: [40, 37, 34] },
        { slot: 2, position: 12, blocks: [31, 28] },
      ],
      rows: [{ slot: 2, position: 20, tokens: prompt.slice(20) }],
    });
    const tokens = [...prompt, outcome!.tokens[0]!];
    for (let i = 0; i < 3; i++) await rig.decode(new Map([[2, tokens]]), 1);
    expect(tokens).toEqual(continued(prompt, 4));
    release(2, 6);
  });

  test('a verified draft gives at each position what single steps give', async () => {
    const prompt = promptOf(6, 10);
    const sequence = continued(prompt, 4);
    const sampling = { ...greedy, logprobs: 2 };
    await rig.prefill({ slot: 0 }, prompt);
    const row = { slot: 0, position: 10, tokens: sequence.slice(10, 14), sampleCount: 4, sampling };
    const [right] = await rig.step({ rows: [row] });
    expect(right!.tokens).toEqual(continued(prompt, 5).slice(11));
    expect(right!.logprobs!.map(({ topTokens }) => topTokens[0])).toEqual(right!.tokens);
    // A wrong draft: its first position is still right, and the sequence can go back to there.
    const wrong = [sequence[10]!, (sequence[11]! + 1) % 256, 7];
    const [outcome] = await rig.step({ rows: [{ ...row, tokens: wrong, sampleCount: 3 }] });
    expect(outcome!.tokens[0]).toBe(sequence[11]);
    const tokens = sequence.slice(0, 12);
    for (let i = 0; i < 2; i++) await rig.decode(new Map([[0, tokens]]));
    expect(tokens).toEqual(sequence);
    release(0);
  });

  const settings: readonly (readonly [string, Partial<SamplingParams>])[] = [
    ['temperature', { temperature: 0.9 }],
    ['top_p, top_k and min_p', { temperature: 1.3, topP: 0.9, topK: 20, minP: 0.02 }],
    ['penalties', { temperature: 0.7, repetitionPenalty: 1.3, frequencyPenalty: 0.4, presencePenalty: 0.5 }],
    [
      'a logit bias',
      {
        temperature: 0.8,
        logitBias: new Map([
          [70, 4],
          [71, -50],
        ]),
      },
    ],
    ['masked stop tokens', { minTokens: 100, stopTokenIds: Array.from({ length: 200 }, (_, id) => id) }],
  ];
  test.each(settings)('sampling with %s draws what the reference logits give', async (_, setting) => {
    const prompts = [promptOf(31, 9), promptOf(32, 5)];
    const sequences = prompts.map((prompt) => [...prompt]);
    const expected = prompts.map((prompt) => [...prompt]);
    for (let step = 0; step < 5; step++) {
      const rows = sequences.map((tokens, slot) => {
        const position = step === 0 ? 0 : tokens.length - 1;
        const sampling = { ...greedy, ...setting, stream: slot };
        const history = Int32Array.from(tokens);
        const promptCount = prompts[slot]!.length;
        return { slot, position, tokens: tokens.slice(position), sampling, history, promptCount };
      });
      const outcomes = await rig.step({ rows });
      for (const [slot, row] of rows.entries()) {
        sequences[slot]!.push(outcomes[slot]!.tokens[0]!);
        const so = expected[slot]!;
        const logits = Float32Array.from(tiny.reference.logits(so));
        const place = { ...row, position: so.length, history: Int32Array.from(so), mask: null };
        so.push(sampleToken(logits, row.sampling, place));
      }
    }
    expect(sequences).toEqual(expected);
    release(0, 1);
  });

  test('masks reach the drawn position they belong to', async () => {
    const allow = (id: number) => {
      const mask = new Uint32Array(Math.ceil(tiny.graph.vocabSize / 32));
      mask[id >>> 5] = 1 << (id & 31);
      return mask;
    };
    const prompt = promptOf(33, 6);
    const rows = [
      { slot: 0, position: 0, tokens: prompt, sampleCount: 3, masks: [allow(300), null, allow(44)] },
      { slot: 1, position: 0, tokens: [5], sampleCount: 1, masks: [allow(31)] },
    ];
    const [first, second] = await rig.step({ rows });
    expect(first!.tokens).toEqual([300, tiny.reference.greedy(prompt.slice(0, 5), 1)[0], 44]);
    expect(second!.tokens).toEqual([31]);
    release(0, 1);
  });

  test('logprobs are those of the reference', async () => {
    const prompt = promptOf(34, 11);
    const sampling = { ...greedy, temperature: 2, logprobs: 5 };
    const [outcome] = await rig.step({ rows: [{ slot: 0, position: 0, tokens: prompt, sampling }] });
    const logits = tiny.reference.logits(prompt);
    const logsumexp = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const [answer] = outcome!.logprobs!;
    expect(answer!.logprob).toBeCloseTo(logits[outcome!.tokens[0]!]! - logsumexp, 3);
    const best = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!).slice(0, 5);
    expect(answer!.topTokens).toEqual(best);
    expect(answer!.topLogprobs).toEqual(best.map((id) => expect.closeTo(logits[id]! - logsumexp, 3)));
    release(0);
  });

  test('the answer never comes in the caller’s stack', async () => {
    let isReturned = false;
    const answered = rig.try({ rows: [{ slot: 0, position: 0, tokens: [1] }] }).then(() => isReturned);
    isReturned = true;
    expect(await answered).toBe(true);
    release(0);
  });
});

test('plans outside the limits are programming errors, refused before anything is computed', async () => {
  const rig = await CpuRig.open(tiny.graph);
  const step = (row: RowInput) => rig.try({ rows: [row] });
  await expect(step({ slot: 8, position: 0, tokens: [1] })).rejects.toThrow('slot 8');
  await expect(step({ slot: 0, position: 0, tokens: promptOf(1, 17) })).rejects.toThrow('row of 17 tokens');
  await expect(step({ slot: 0, position: 5, tokens: [1] })).rejects.toThrow('holds less than the row needs');
  await rig.backend.close();
});
