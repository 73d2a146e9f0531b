// A response that is being written, as another node has to know it to say the very same: events, numbers and ids. Its draws come from
// a seed, each token is told by itself, nothing is guessed ahead. Plain data. Before it: create.ts, socket-lane.ts and background.ts;
// after it: shared-responses.ts.
import { foldSeed } from '../generation/seed.ts';
import type { Item } from './items.ts';
import type { ResponseRequest } from './schema.ts';

export interface OpenResponse {
  readonly identity: string; // of the model, its precision and template: others would say something else
  readonly request: ResponseRequest;
  readonly lane: string | null; // that it is in, where there are lanes
  readonly previousId: string | null;
  readonly conversationId: string | null; // that it is written into
  readonly delegated: readonly Item[];
  readonly createdAt: number; // time of day, seconds
  readonly repeatable: boolean; // false: it was steered, or an upstream answers
}

/** What a node needs to say what another one has begun to. */
export interface Repeats {
  readonly identity: string;
  freshSeed(): number;
}

/** Null: no other node could say the same. */
interface Repeating {
  readonly repeats: Repeats | null;
}

/** The request as it can be answered twice, where that is wanted. */
export function repeatableRequest<R extends ResponseRequest>(request: R, { repeats }: Repeating): R {
  if (repeats === null || request.store === false) return request;
  const seed = request.seed == null ? repeats.freshSeed() : foldSeed(request.seed);
  return { ...request, seed, speculation: false };
}

export function openResponse(
  parts: Pick<OpenResponse, 'request' | 'previousId'> & {
    readonly conversation: { readonly id: string } | null;
    readonly delegated?: readonly Item[];
  },
  more: Pick<OpenResponse, 'lane' | 'createdAt' | 'repeatable'>,
  { repeats }: Repeating,
): OpenResponse {
  const { request, conversation, delegated = [], previousId } = parts;
  const conversationId = conversation?.id ?? null;
  return { identity: repeats?.identity ?? '', request, previousId, conversationId, delegated, ...more };
}
