// What a command line states that no published row has, so that a prediction does not claim to be like one: reasons, in words that
// follow "because". For commands.ts and compare-study.ts.
import { requestsAtMaxLoad } from '../../kernels/sim/fit/max-load.ts';
import { VLLM_ROW } from '../../kernels/sim/fit/published.ts';
import { flagName } from '../../server/base/flag-name.ts';
import type { DeviceFlags } from './device-flags.ts';
import type { FixedLengths } from './load.ts';
import type { PredictLoad } from './predict.ts';
import type { RunFlags } from './run-flags.ts';

type Flags = DeviceFlags & Pick<RunFlags, 'scheduler'>;

// Published rows have the defaults of these; at maximum load, of the second list, too.
const names = ['placement', 'linkUs', 'kvStoreGb', 'contextPlanned', 'answerPlanned'] as const;
const namesAtMaxLoad = ['seats', 'chunkTokens'] as const;

export function unlikePublished(flags: Flags): string[] {
  const reasons = stated(flags, names);
  if (flags.scheduler === 'served')
    reasons.push('published rows have requests in order, not as this server does');
  return reasons;
}

export function unlikePrediction(flags: Flags, load: PredictLoad, lengths: FixedLengths): string[] {
  const reasons = unlikePublished(flags);
  if (load.kind !== 'max-load') return [...reasons, ...unlikeUsers(flags, load)];
  reasons.push(...stated(flags, namesAtMaxLoad));
  const published = requestsAtMaxLoad(lengths);
  if (load.requestCount !== published)
    reasons.push(`${load.requestCount} requests, published runs of such lengths have ${published}`);
  return reasons;
}

// Published rows of stated users have a seat for each, and a prompt's chunks are no shorter than vLLM's default.
function unlikeUsers({ seats, chunkTokens }: Flags, load: PredictLoad): string[] {
  const reasons: string[] = [];
  if (load.kind === 'concurrency' && seats !== undefined && seats < load.userCount)
    reasons.push(`${seats} seats for ${load.userCount} users, published rows have one for each`);
  if (chunkTokens !== undefined && chunkTokens < VLLM_ROW.chunkTokens)
    reasons.push(
      `prompts in steps of ${chunkTokens} tokens, published rows have ${VLLM_ROW.chunkTokens} or more`,
    );
  return reasons;
}

/** Of a trace: bursts, lengths of all kinds, prompts that are found cached. */
export const unlikeTrace = 'published rows have requests of one length at a steady rate';

function stated(flags: Flags, of: readonly (keyof DeviceFlags)[]): string[] {
  return of
    .filter((name) => flags[name] !== undefined)
    .map((name) => `--${flagName(name)} is stated, published rows have the default`);
}
