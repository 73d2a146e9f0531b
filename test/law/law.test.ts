// The law of isolation on the real kernels: what one caller is told does not depend on anybody else. Each answer, with
// its log-probabilities, is that of a fresh server, before, while and after a crowd asks everything else.
// `make law` is the long form, half of it in the life of one server; `make law SEED=7 REQUESTS=5000` repeats one.
import { describe, expect, test } from 'vitest';
import { builtGraphs } from '../run-folders.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { foretoldAnswer, freshAnswers, type Known, type LawPlan, runLaw } from './run.ts';
import { leakMasks, makeGuessesCheap } from './spoil.ts';

const requests = Number(process.env['REQUESTS'] || 0); // 0: the quick form
const seed = Number(process.env['SEED'] || 1);
const archives = temporaryDirectory();
const common = {
  model: 'spark-nano',
  cacheDirectory: builtGraphs(),
  kvCacheSizeMax: '64MiB',
  contextTokens: '512',
};

interface Served {
  readonly name: string;
  readonly flags: object;
  readonly guesses?: boolean; // whatever this machine has measured
  readonly cases?: number; // in the long form: a larger model starts slowly
}

const shipped: Served = { name: 'as it is shipped', flags: requests === 0 ? {} : { threads: '2' } };
const drafted: Served = {
  name: 'guessing ahead with a draft model',
  flags: { draftModel: 'spark-nano', draftPrecision: 'int4' },
  guesses: true,
};
const others: readonly Served[] = [
  {
    name: 'two replicas of two seats, KV as int8, guessing ahead',
    flags: { replicas: '2', threads: '2', slots: '2', kvPrecision: 'int8' },
    guesses: true,
  },
  {
    // What earlier answers leave may be gone by the next turn: only what is computed anew is the same.
    name: 'short of KV, with an archive, guessing ahead, --invariance full',
    flags: {
      ...{ slots: '6', kvCacheSizeMax: '4MiB', kvDiskSizeMax: '64MiB', prefillChunkTokens: '32' },
      invariance: 'full',
    },
    guesses: true,
  },
  {
    name: 'guessing ahead, few rounds, int8',
    flags: { precision: 'int8', speculation: 'on', decodeRounds: '3' },
    guesses: true,
  },
  { name: 'SmolLM2', flags: { model: 'smollm2-135m-instruct' }, guesses: true, cases: 13 },
  { name: 'one round a step, no guesses', flags: { decodeRounds: '1', speculation: 'off' } },
];
const served = requests === 0 ? [shipped, drafted] : [shipped, drafted, ...others];

function planOf({ flags, guesses = false, cases = 39 }: Served, index: number): LawPlan {
  const sizes =
    requests === 0
      ? { cases: guesses ? 5 : 7, requests: guesses ? 30 : 50, callers: 8 }
      : { cases, requests: Math.ceil(requests * (index === 0 ? 0.5 : 0.5 / others.length)), callers: 24 };
  const files = { kvDiskDirectory: `${archives}/kv${index}` };
  return {
    seed: seed + index,
    flags: { ...common, ...files, ...flags },
    ...sizes,
    ...(guesses && { onServer: makeGuessesCheap }),
  };
}

// What is broken on purpose is seen by one caller after the other, whatever the load and the times are.
const alone = { callers: 1, requests: 10 };

describe.each(served.map((one, index) => [one.name, planOf(one, index)] as const))('%s,', (name, plan) => {
  let known: readonly Known[] = [];

  test('no answer depends on the others', { timeout: 3_600_000 }, async () => {
    known = await freshAnswers(plan);
    const report = await runLaw(plan, known);
    const counts = { ...report, broken: report.broken.length };
    console.log(`law, ${name}, seed ${plan.seed}: ${JSON.stringify(counts)}`);
    expect(report.broken.slice(0, 5)).toEqual([]);
    expect(report.compared).toBeGreaterThan(plan.requests / 2);
    if (plan.onServer !== undefined) expect(report.guesses).toBeGreaterThan(0);
  });

  test.runIf(name === drafted.name)(
    'but with guesses that are computed together they do, and that is seen',
    { timeout: 600_000 },
    async () => {
      // Our own operators give a token the same bits in any row.
      const flags = { ...plan.flags, kernels: 'onnxruntime' };
      const foretold = await foretoldAnswer(flags);
      const report = await runLaw({ ...plan, ...alone, flags: { ...flags, invariance: 'none' } }, [foretold]);
      expect(report.broken[0]).toContain('"prediction"');
      expect(report.guesses).toBeGreaterThan(0);
    },
  );

  test.runIf(name === shipped.name)(
    'but on a server that shows rows the masks of an older step they do, and that is seen',
    { timeout: 600_000 },
    async () => {
      // Guesses would take their masks along.
      const flags = { ...plan.flags, speculation: 'off' };
      const report = await runLaw({ ...plan, ...alone, flags, onServer: leakMasks }, known);
      expect(report.broken.length).toBeGreaterThan(0);
    },
  );
});
