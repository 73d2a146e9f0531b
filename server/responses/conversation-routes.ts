// /v1/conversations: make, read, describe and forget a conversation; add, list, read and take out its items. Owns what they
// may be asked and OpenAI's shapes; responses write into conversations by chain.ts. Before it: http/door.ts; after it:
// conversation-store.ts.
import { z } from 'zod';
import { fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import { type KeptConversation, unknownConversation } from './conversation-store.ts';
import { type Item, itemsOf, listedItem } from './items.ts';
import { listOf, pageQuery, replyPage } from './page.ts';
import { withoutReferences } from './plan.ts';
import type { ResponsesService } from './responses-service.ts';
import { metadataSchema } from './schema.ts';
import { oncePastIsHere } from './shared-past.ts';

const table = routesIn('conversations');

const ITEMS_ADDED_MAX = 20; // OpenAI's

const items = z.array(z.looseObject({ type: z.string().nullish() })).max(ITEMS_ADDED_MAX);
const createSchema = z.object({ items: items.nullish(), metadata: metadataSchema.nullish() });
const updateSchema = z.object({ metadata: metadataSchema.nullable() });
const addSchema = z.object({ items: items.min(1) });

const path = '/v1/conversations';
const one = `${path}/:`;
const oneItem = `${one}/items/:`;

export function conversationRoutes(service: ResponsesService): readonly Route[] {
  return [...wholeRoutes(service), ...itemRoutes(service)];
}

function wholeRoutes(service: ResponsesService): readonly Route[] {
  return [
    table.post(
      path,
      { summary: 'A conversation that responses are written into', body: createSchema },
      (call) => create(call, service),
    ),
    table.get(one, 'A conversation, without its items', (call) =>
      withConversation(call, service, (kept) => call.reply(200, conversationObject(kept))),
    ),
    table.post(one, { summary: 'Replaces its metadata', body: updateSchema }, (call) =>
      withBody(call, service, ({ id }) =>
        call.readJson(updateSchema, ({ metadata }) => {
          const { conversations } = service;
          const kept = conversations.describe(id, call.facts.owner, metadata ?? {});
          if (kept === null) call.refuse(unknownConversation(id));
          else call.reply(200, conversationObject(kept));
        }),
      ),
    ),
    table.remove(one, 'Forgets it; responses that were written into it stay', (call) =>
      withConversation(call, service, ({ id }) => {
        service.conversations.delete(id, call.facts.owner);
        call.reply(200, { id, object: 'conversation.deleted', deleted: true });
      }),
    ),
  ];
}

function itemRoutes(service: ResponsesService): readonly Route[] {
  return [
    table.post(`${one}/items`, { summary: 'Adds items at its end', body: addSchema }, (call) =>
      withBody(call, service, ({ id }) =>
        call.readJson(addSchema, (body) =>
          oncePastIsHere(call, { input: body.items }, service, () => addItems(call, id, body.items, service)),
        ),
      ),
    ),
    table.get(`${one}/items`, { summary: 'Its items, a page of them', query: pageQuery }, (call) =>
      withConversation(call, service, (kept) => replyPage(call, kept.items)),
    ),
    table.get(oneItem, 'One of its items', (call) =>
      withItem(call, service, (_, item) => call.reply(200, listedItem(item))),
    ),
    table.remove(oneItem, 'Takes an item out', (call) =>
      withItem(call, service, (kept, item) => {
        const refused = service.conversations.remove(kept.id, call.facts.owner, String(item['id']));
        if (refused === null) call.reply(200, conversationObject(kept));
        else call.refuse(refused);
      }),
    ),
  ];
}

/** OpenAI's SDKs send no body at all where nothing is to be said. */
function create(call: HttpCall, service: ResponsesService): void {
  const { request } = call;
  const isBare = request.header('content-type') === '' && Number(request.header('content-length')) === 0;
  if (isBare) make({});
  else {
    call.readJson(createSchema, (body) =>
      oncePastIsHere(call, { input: body.items }, service, () => make(body)),
    );
  }

  function make(body: z.output<typeof createSchema>): void {
    const { owner } = call.facts;
    const resolved = withoutReferences(
      itemsOf(body.items ?? [], service.freshId),
      { owner, history: [] },
      service,
    );
    if (!resolved.ok) {
      call.refuse(resolved.fault);
      return;
    }
    const kept = {
      id: `conv_${service.freshId()}`,
      createdAt: service.epochSeconds(),
      metadata: body.metadata ?? {},
      items: [],
    };
    const { conversations } = service;
    const refused = conversations.create(owner, kept) ?? conversations.add(kept.id, owner, resolved.value);
    if (refused === null) call.reply(200, conversationObject(kept));
    else {
      conversations.delete(kept.id, owner);
      call.refuse(refused);
    }
  }
}

function addItems(call: HttpCall, id: string, given: unknown, service: ResponsesService): void {
  const { owner } = call.facts;
  const { conversations, freshId } = service;
  const history = conversations.get(id, owner)?.items ?? [];
  const added = withoutReferences(itemsOf(given, freshId), { owner, history }, service);
  const refused = added.ok ? conversations.add(id, owner, added.value) : added.fault;
  if (refused !== null) call.refuse(refused);
  else if (added.ok) call.reply(200, listOf(added.value, false));
}

function withConversation(
  call: HttpCall,
  service: ResponsesService,
  answer: (kept: KeptConversation) => void,
): void {
  oncePastIsHere(call, { conversation: call.parameter }, service, () => {
    const kept = service.conversations.get(call.parameter, call.facts.owner);
    if (kept !== null) answer(kept);
    else call.refuse(unknownConversation(call.parameter));
  });
}

/** Likewise, where a body is to be read: listeners keep it for nobody who asks later. */
function withBody(call: HttpCall, service: ResponsesService, answer: (kept: KeptConversation) => void): void {
  if (service.shared === null) withConversation(call, service, answer);
  else call.peekJson(() => withConversation(call, service, answer));
}

function withItem(
  call: HttpCall,
  service: ResponsesService,
  answer: (kept: KeptConversation, item: Item) => void,
): void {
  const [, itemId] = call.facts.parameters;
  withConversation(call, service, (kept) => {
    const item = kept.items.find(({ id }) => id === itemId);
    if (item !== undefined) answer(kept, item);
    else {
      const message = `Item with id '${itemId}' not found in conversation with id '${kept.id}'.`;
      call.refuse(fault('not_found', message, { param: 'item_id' }));
    }
  });
}

function conversationObject({ id, createdAt, metadata }: KeptConversation): object {
  return { id, object: 'conversation', created_at: createdAt, metadata };
}
