// Pages of items, as lists of responses and conversations are asked for: `limit`, `order`, `after`. Owns their bounds and
// the shape of a list. Before it: routes.ts and conversation-routes.ts.
import { fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Item, listedItem } from './items.ts';

const PAGE_DEFAULT = 20; // OpenAI's
const PAGE_MAX = 100;

export const pageQuery = {
  limit: `items, 1 to ${PAGE_MAX}`,
  order: 'asc or desc',
  after: 'id of the item before the page',
};

/** Answers with the page that the call's query names; `items` oldest first. */
export function replyPage(call: HttpCall, items: readonly Item[]): void {
  const query = new URLSearchParams(call.request.query);
  const refused = (param: string, message: string) =>
    call.refuse(fault('invalid_request', `${param}: ${message}`, { param }));
  const limit = Number(query.get('limit') ?? PAGE_DEFAULT);
  const order = query.get('order') ?? 'desc';
  const after = query.get('after');
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX) {
    refused('limit', `expected an integer from 1 to ${PAGE_MAX}`);
    return;
  }
  if (order !== 'asc' && order !== 'desc') {
    refused('order', 'expected asc or desc');
    return;
  }
  const ordered = order === 'asc' ? items : items.toReversed();
  const before = after === null ? -1 : ordered.findIndex((item) => item['id'] === after);
  if (after !== null && before < 0) {
    refused('after', `no item with id '${after}' is here`);
    return;
  }
  const page = ordered.slice(before + 1, before + 1 + limit);
  call.reply(200, listOf(page, before + 1 + limit < ordered.length));
}

/** An empty list begins and ends with '': OpenAI's document has texts there. */
export function listOf(items: readonly Item[], hasMore: boolean): object {
  const data = items.map(listedItem);
  return {
    object: 'list',
    data,
    first_id: data[0]?.['id'] ?? '',
    last_id: data.at(-1)?.['id'] ?? '',
    has_more: hasMore,
  };
}
