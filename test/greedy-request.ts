// A generation request that draws the likeliest token each time and asks for nothing else: what tests vary.
import { greedySampling } from '../kernels/backend.ts';
import type { GenerationRequest } from '../server/generation/generation.ts';
import type { Question } from '../server/sessions/session-state.ts';

const { stream: _, stopTokenIds: __, ...sampling } = greedySampling;
const plain = { stopStrings: [], ignoreStopTokens: false, priority: 'turn', deadlineMs: null } as const;

export const greedyRequest: Omit<GenerationRequest, 'tokens'> = {
  ...{ ...sampling, ...plain },
  ...{ choiceCount: 1, maxTokens: 100, cacheSalt: '' },
};

/** The same as a session's question, without end and without a seed. */
export function greedyQuestion(generation: number, more: Partial<Question> = {}): Question {
  return {
    ...sampling,
    ...plain,
    seed: null,
    generation,
    maxTokens: null,
    frameIntervalMs: 0,
    reasoning: false,
    ...more,
  };
}
