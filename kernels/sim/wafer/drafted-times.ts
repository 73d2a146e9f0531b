// DraftedTimes: stage times with speculation, as times of one token: a verification streams through the stages token by token,
// the drafter lies with the output projection and guesses in between; all of it divided by the tokens that it brings on
// average. Before it: stage-times.ts.
import { bestDraftCount, type Drafts, expectedTokens } from '../drafts.ts';
import type { PlacedStage, WaferSetup } from './floorplan.ts';
import { decodeLayerCycles, headCycles } from './latency.ts';
import { idleTimes, type StageTimes, type Work, walkThrough } from './walk.ts';

const typicalTokens = 2048; // context at which the number of guesses is chosen

/** The same stages; decoded tokens are drafted, chunks of prompts are not. */
export function draftedTimes(
  plain: StageTimes,
  setup: WaferSetup & { readonly drafts: Drafts },
  stages: readonly PlacedStage[],
): StageTimes {
  const { drafts, shape, chip } = setup;
  const { stageCount } = plain;
  const head = stages.at(-1)!;
  const guessCycles = decodeLayerCycles(shape, head, typicalTokens) + headCycles(shape, head);
  const guessMs = guessCycles / (chip.clockHz / 1e3);
  const token = { tokenCount: 1, position: typicalTokens, draws: true };
  const aloneMs = plain.tokenMs(typicalTokens);
  const slowestMs = plain.slowestStageMs(typicalTokens, true);
  const headMs = plain.workMs(stageCount - 1, token);
  // A lone user waits for the walk; many share the busiest stage, where each guess is a token more.
  const { userCount = 1 } = drafts;
  const count = bestDraftCount(drafts, (guesses) => {
    const walkMs = aloneMs + guesses * (slowestMs + guessMs);
    const busyMs = Math.max((1 + guesses) * slowestMs, (1 + guesses) * headMs + guesses * guessMs);
    return Math.max(walkMs, userCount * busyMs);
  });
  const share = 1 / expectedTokens(drafts, count);
  const isDrafted = (work: Work): boolean => work.tokenCount === 1 && work.draws;
  const guessingMs = (index: number): number => (index === stageCount - 1 ? count * guessMs : 0);
  const workMs = (index: number, work: Work): number => {
    const ms = plain.workMs(index, work);
    return isDrafted(work) ? share * ((1 + count) * ms + guessingMs(index)) : ms;
  };
  const linkMs = (index: number, tokenCount: number): number =>
    tokenCount === token.tokenCount ? share * plain.linkMs(index, 1) : plain.linkMs(index, tokenCount);
  const handMs = (index: number, work: Work): number =>
    share * (plain.workMs(index, work) + guessingMs(index));
  const drafted = walkThrough(stageCount, { workMs, handMs, linkMs });
  const walk: StageTimes['walk'] = (work, ...rest) =>
    isDrafted(work) ? drafted(work, ...rest) : plain.walk(work, ...rest);
  return { stageCount, workMs, linkMs, walk, ...idleTimes(stageCount, workMs, walk), undrafted: plain };
}
