// What a request goes on from, where nodes share it: fetched before the request is looked at, so that everything after this file
// is as on one node. Owns what of a request names something. Before it: routes.ts, conversation-routes.ts and socket-lane.ts;
// after it: shared-responses.ts and shared-conversations.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { SharedRecords } from '../cluster/shared-records.ts';
import type { HttpCall } from '../http/http-call.ts';
import type { ConversationStore } from './conversation-store.ts';
import type { ResponseRequest } from './schema.ts';
import { SharedConversations } from './shared-conversations.ts';
import { SharedResponses } from './shared-responses.ts';
import type { ResponseStore } from './store.ts';

/** Names of what a request goes on from. */
export type Names = Partial<Pick<ResponseRequest, 'conversation' | 'previous_response_id' | 'input'>>;

export interface SharedPastParts {
  readonly cluster: { readonly responses: SharedRecords; readonly conversations: SharedRecords };
  readonly store: ResponseStore;
  readonly conversations: ConversationStore;
  readonly clock: Pick<Clock, 'schedule'>;
}

const ITEMS_NAMED_MAX = 256; // that are looked for elsewhere

export class SharedPast {
  readonly #store: ResponseStore;
  readonly #responses: SharedResponses;
  readonly #conversations: SharedConversations;

  constructor({ cluster, store, conversations, clock }: SharedPastParts) {
    this.#store = store;
    this.#conversations = new SharedConversations(cluster.conversations, conversations, clock);
    this.#responses = new SharedResponses({
      ...{ records: cluster.responses, store, clock },
      bringConversation: (id, owner, done) => this.#conversations.whenFree(id, owner, done),
    });
  }

  get responses(): SharedResponses {
    return this.#responses;
  }

  bringConversation(id: string, owner: string, done: () => void): void {
    this.#conversations.bring(id, owner, done);
  }

  /** All that the request names; then `done`, whatever came. */
  bring(
    { conversation, previous_response_id: previousId, input }: Names,
    owner: string,
    done: () => void,
  ): void {
    const items = () => this.#bringItems(input, previousId ?? null, owner, done);
    if (conversation != null) {
      this.bringConversation(typeof conversation === 'string' ? conversation : conversation.id, owner, items);
    } else if (previousId != null && previousId !== '') {
      this.#responses.bring({ id: previousId, owner, taken: false }, items);
    } else items();
  }

  #bringItems(input: unknown, previousId: string | null, owner: string, done: () => void): void {
    const stored = previousId === null ? null : this.#store.get(previousId, owner);
    const known = new Set((stored?.history ?? []).map((item) => item['id']));
    const missing = namedItems(input).filter((id) => !known.has(id) && this.#store.item(id, owner) === null);
    let open = 1;
    const one = () => {
      if (--open === 0) done();
    };
    for (const id of missing.slice(0, ITEMS_NAMED_MAX)) {
      open++;
      this.#responses.bringItem(id, owner, one);
    }
    one();
  }
}

/** `then` once what the request names is here, at once on a server that is alone. */
export function withPast(
  { shared }: { readonly shared: SharedPast | null },
  { names, owner }: { readonly names: Names; readonly owner: string },
  then: () => void,
): void {
  const { conversation = null, previous_response_id: previousId = null, input } = names;
  const isBare = conversation === null && !previousId && namedItems(input).length === 0;
  if (shared === null || isBare) then();
  else shared.bring(names, owner, then);
}

/** Likewise, for a call whose caller has not left meanwhile. */
export function oncePastIsHere(
  call: HttpCall,
  names: Names,
  service: { readonly shared: SharedPast | null },
  then: () => void,
): void {
  let inside = true;
  withPast(service, { names, owner: call.facts.owner }, () => {
    if (inside) then();
    else if (!call.over) call.guard(then);
  });
  inside = false;
}

function namedItems(input: unknown): string[] {
  if (!Array.isArray(input)) return [];
  return (input as readonly { readonly type?: unknown; readonly id?: unknown }[])
    .filter((item) => item?.type === 'item_reference')
    .map(({ id }) => String(id));
}
