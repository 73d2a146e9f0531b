// POST /v1/responses/compact: a conversation → its instructions and messages of the user, and one item that sums up the rest.
// The summary is an ordinary answer of the model, or of the lane, that is asked for at the end of the conversation.
// Before it: routes.ts; after it: create.ts.
import { z } from 'zod';
import { contentText } from '../base/content.ts';
import { fault } from '../base/errors.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import type { HttpCall } from '../http/http-call.ts';
import { pastOf } from './chain.ts';
import { compactionItem } from './compaction.ts';
import { respond } from './create.ts';
import { type Item, itemsOf, listedItem } from './items.ts';
import { inputItems } from './plan.ts';
import type { ResponsesService } from './responses-service.ts';
import type { ResponseRun } from './run.ts';
import { type ResponseRequest, responseSchema } from './schema.ts';

const SUMMARY_TOKENS_MAX = 4096; // and an eighth of the context, which truncation leaves free
const ASK =
  'Sum up this conversation for somebody who goes on with it and cannot see it: what is wanted, what was found and ' +
  'decided, which files, names and values matter, what is done and what is left. Write the summary only.';

const FIELDS = {
  model: true,
  input: true,
  instructions: true,
  previous_response_id: true,
  conversation: true,
  prompt_cache_key: true,
  service_tier: true,
  metadata: true,
} as const;

export function compactSchema(bounds: RequestBounds) {
  return responseSchema(bounds).pick(FIELDS).extend({ model: z.string() }); // OpenAI's document requires it
}

type CompactRequest = Pick<ResponseRequest, keyof typeof FIELDS>;

export function compact(call: HttpCall, given: CompactRequest, service: ResponsesService): void {
  const { owner } = call.facts;
  const past = pastOf(given, owner, service);
  if (!past.ok) {
    call.refuse(past.fault);
    return;
  }
  const { history } = past.value;
  const own = inputItems({ request: given as ResponseRequest, owner, history }, service);
  if (!own.ok) {
    call.refuse(own.fault);
    return;
  }
  const items = [...history, ...own.value];
  if (items.length === 0) {
    call.refuse(fault('invalid_request', 'input: must not be empty', { param: 'input' }));
    return;
  }
  const request = {
    ...given,
    ...{ previous_response_id: null, conversation: null, store: false, truncation: 'auto' },
    max_output_tokens: Math.min(SUMMARY_TOKENS_MAX, service.answering.contextTokensMax >> 3),
  } as ResponseRequest;
  const input = itemsOf(ASK, service.freshId);
  const parts = { request, owner, history: items, conversation: null, input };
  respond(call, parts, service, (_, run) => replyCompacted(call, { items, run }, service));
}

function replyCompacted(
  call: HttpCall,
  { items, run: { events } }: { readonly items: readonly Item[]; readonly run: ResponseRun },
  { freshId }: ResponsesService,
): void {
  const { failure, response, output } = events;
  if (failure !== null) {
    call.refuse(failure);
    return;
  }
  const said = output.filter(({ type }) => type === 'message').map(({ content }) => contentText(content));
  const kept = items.filter(({ type, role }) => type === 'message' && role !== 'assistant').map(listedItem);
  call.reply(200, {
    id: response.id,
    object: 'response.compaction',
    created_at: response['created_at'],
    output: [...kept, compactionItem(said.join('\n').trim(), `cmp_${freshId()}`)],
    usage: response['usage'],
  });
}
