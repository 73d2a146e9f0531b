// DraftedSteps: GPU steps with speculation, as steps of one token a row: what guessing and verifying takes, divided by the tokens
// that it brings on average. Prompts in the same step cost what they add to it. Pure. Before it: gpu-device.ts.
import { bestDraftCount, type Drafts, expectedTokens } from '../drafts.ts';
import type { ModelShape } from '../shapes.ts';
import type { GpuSetup, StepCounts } from './roofline.ts';
import { stagedTerms } from './stage-steps.ts';

/** Milliseconds of one step in which every decoding row of `decode` gets a token and `all` is everything in it. */
export function draftedStepMs(
  setup: GpuSetup & { readonly drafts: Drafts },
  decode: StepCounts,
  all: StepCounts,
): number {
  const { drafts } = setup;
  if (decode.rowCount === 0) return stagedTerms(setup, all).totalMs;
  const guessMs = stagedTerms({ ...setup, stageCount: 1, shape: drafterOf(setup.shape) }, decode).totalMs;
  const verifyMs = (count: number, counts: StepCounts): number =>
    stagedTerms(setup, {
      ...counts,
      tokenCount: counts.tokenCount + count * decode.rowCount,
      sampledCount: counts.sampledCount + count * decode.rowCount,
    }).totalMs;
  const cycleMs = (count: number): number => verifyMs(count, decode) + count * guessMs;
  const count = bestDraftCount(drafts, cycleMs);
  const promptMs = decode === all ? 0 : verifyMs(count, all) - verifyMs(count, decode);
  return cycleMs(count) / expectedTokens(drafts, count) + promptMs;
}

/** One layer of the model, the last, and its output projection: what MTP layers and EAGLE's drafters are. */
function drafterOf(shape: ModelShape): ModelShape {
  const windowed = shape.fullAttentionLayerCount === 0 ? 1 : 0;
  return {
    ...shape,
    ...{ layerCount: 1, fullAttentionLayerCount: 1 - windowed, windowedLayerCount: windowed, linear: null },
    mixtureLayerCount: Math.min(1, shape.mixtureLayerCount),
  };
}
