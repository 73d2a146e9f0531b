// A response and its lane: what lanes ask about it, and the service that it is planned in once it is there. Owns the session
// key by which its conversation is known. Before it: routes.ts, socket-lane.ts and background.ts; after it: lanes/lanes.ts.
import type { Parsed } from '../base/json-body.ts';
import { upstreamBody } from '../chat/chat-body.ts';
import { itemsConversation } from '../lanes/conversation.ts';
import { sessionKeyOf } from '../lanes/router.ts';
import type { LaneAsk } from '../lanes/visit.ts';
import type { Item } from './items.ts';
import { inputItems, type PlanParts, upstreamAskOf } from './plan.ts';
import type { ResponsesService } from './responses-service.ts';
import type { ResponseRequest } from './schema.ts';

export interface LaneTurn {
  readonly request: ResponseRequest; // as planned: its model is its lane's
  readonly input: readonly Item[];
  readonly delegated: readonly Item[]; // results that go along
  readonly sessionKey: string | null;
  readonly logprobs: boolean; // asked for
  readonly ask: (model: string, requestId: string) => LaneAsk;
}

export type TurnParts = Pick<PlanParts, 'request' | 'owner' | 'history' | 'conversation' | 'input'>;

/** Refused where the input names items that are not there. */
export function laneTurn(parts: TurnParts, service: ResponsesService): Parsed<LaneTurn> {
  const { request, owner, history } = parts;
  const resolved = inputItems(parts, service);
  if (!resolved.ok) return resolved;
  const input = resolved.value;
  const conversation = itemsConversation(request, [...history, ...input]);
  const sessionKey = sessionKeyOf(owner, request.prompt_cache_key ?? parts.conversation?.id, conversation);
  // Work in the background was given its task when it began.
  const delegated = request.background === true ? [] : service.delegations.waiting(sessionKey);
  const items = [...history, ...delegated, ...input];
  return {
    ok: true,
    value: {
      request: { ...request, model: null },
      input,
      delegated,
      sessionKey,
      logprobs: request.top_logprobs != null || request.include?.includes(LOGPROBS_INCLUDE) === true,
      ask: (model, requestId) => ({
        ...{
          model,
          requestId,
          owner,
          conversation,
          sessionKey,
          taskId: request.metadata?.['task_id'] ?? null,
        },
        upstreamBody: (upstream) => upstreamBody(upstream, upstreamAskOf(request, items)),
      }),
    },
  };
}

const LOGPROBS_INCLUDE = 'message.output_text.logprobs';
