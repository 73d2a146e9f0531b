// The device of a draft model: the same kind as the server's own, with a seat for each of its seats, and a model that
// must have the same vocabulary. Opens nothing unless a draft model is asked for. Before it: cli/local-server.ts; after
// it: device.ts and engine/draft-model.ts.
import type { Backend } from '../../kernels/backend.ts';
import { vocabularyDifference } from '../../models/checkpoint/vocabulary-difference.ts';
import { loadModel, type Model } from '../../models/model.ts';
import { type Config, ConfigError } from '../config/config.ts';
import { type DeviceParts, type OpenDevice, openDevice } from './device.ts';

/**
 * Null without --draft-model. Rejects with ConfigError when the vocabularies differ or nothing is drafted at all, or
 * with what is wrong with the model.
 */
export async function openDraftDevice(
  config: Config,
  model: Model,
  target: Backend,
  parts: DeviceParts,
): Promise<OpenDevice | null> {
  if (config.draftModel === null) return null;
  if (config.speculation === 'off') throw refusal(config, 'none while --speculation is off');
  const draft = loadModel(config.draftModel);
  const difference = vocabularyDifference(model, draft);
  if (difference !== null) {
    throw refusal(config, `a model with the vocabulary of ${model.name}: ${difference}`);
  }
  const contextTokens = Math.min(draft.spec.contextLength, target.limits.slotTokensMax);
  const drafting: Config = {
    ...config,
    precision: config.draftPrecision,
    contextTokens,
    // One thread a replica: helpers that spin for their next operator would take the cores of the other device.
    threads: config.replicas,
    threadsPerReplica: 1,
    decodeRounds: target.limits.sampleCountMax,
    streamIntervalMs: DRAFT_TOLD_MS,
    invariance: 'none', // its words are only guesses
  };
  return openDevice(drafting, draft, parts);
}

const DRAFT_TOLD_MS = 1000; // guesses are of use together only

function refusal({ draftModel }: Config, bound: string): ConfigError {
  return new ConfigError({ option: 'draftModel', value: draftModel, bound, source: 'against --model' });
}
