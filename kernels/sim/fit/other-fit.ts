// The constants of chips that are neither GPUs nor wafers, from one row each: with one user nothing else than a layer's own time
// is unknown.
import { namedShape } from '../catalogue.ts';
import { planSimDevice } from '../device.ts';
import { draftTokensDefault } from '../drafts.ts';
import { draftedStepMs } from '../gpu/drafted-steps.ts';
import type { groqFitted, sn40lFitted } from '../gpu/fitted.ts';
import type { GpuSetup, StepCounts } from '../gpu/roofline.ts';
import { stagedTerms } from '../gpu/stage-steps.ts';
import { OTHER_SERVICE_ROWS, type OtherServiceRow } from './other-rows.ts';

const contextTokens = 1024; // short prompts, as those who measure use

const oneUser: StepCounts = {
  ...{ rowCount: 1, tokenCount: 1, sampledCount: 1, contextRead: contextTokens, attentionPairs: 0 },
};

/** The machine of a row: as many chips as were published, or as hold the model. */
export function otherSetup({ chip, model, chipCount, precision, acceptance }: OtherServiceRow): GpuSetup {
  const device = planSimDevice({
    ...{ device: chip, shape: namedShape(model), precision },
    ...(chipCount !== null && { count: chipCount }),
    ...(acceptance !== null && { drafts: { acceptance, tokensMax: draftTokensDefault } }),
  });
  if (device.kind !== 'gpu') throw new Error(`${chip} is a wafer`);
  return device.setup;
}

/** Tokens per second of one user. */
export function otherRate(row: OtherServiceRow): number {
  const setup = otherSetup(row);
  const { drafts } = setup;
  const tokenMs =
    drafts === undefined
      ? stagedTerms(setup, oneUser).totalMs
      : draftedStepMs({ ...setup, drafts }, oneUser, oneUser);
  return 1000 / tokenMs;
}

// What a row's token takes beside its layers' own time, and how many layers share the rest.
function leftUs(
  model: string,
  chip: OtherServiceRow['chip'],
): { readonly us: number; readonly layers: number } {
  const row = OTHER_SERVICE_ROWS.find((one) => {
    return one.chip === chip && one.model === model && one.status === 'calibrated';
  })!;
  const setup = otherSetup(row);
  const own = { ...setup.chip.own!, layerUs: 0, mixtureLayerUs: 0 };
  const knownMs = stagedTerms({ ...setup, chip: { ...setup.chip, own } }, oneUser).totalMs;
  return { us: 1e6 / row.tokensPerSecond - knownMs * 1e3, layers: setup.shape.layerCount };
}

export function fitGroq(): typeof groqFitted {
  const dense = leftUs('llama-3.1-8b', 'groqlpu');
  const mixture = leftUs('gpt-oss-120b', 'groqlpu');
  const lpuLayerUs = dense.us / dense.layers;
  return { lpuLayerUs, lpuMixtureLayerUs: mixture.us / mixture.layers - lpuLayerUs };
}

export function fitSn40l(): typeof sn40lFitted {
  const { us, layers } = leftUs('llama-3.1-8b', 'sn40l');
  return { rduLayerUs: us / layers };
}
