// Chains: how a response is found again by the one that goes on from it, through the store. Lanes of a socket keep their
// own latest response beside it (socket-lane.ts). Before it: routes.ts and socket.ts; after it: store.ts.
import { fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { Item } from './items.ts';
import type { ResponsesService } from './responses-service.ts';
import type { ResponseRun } from './run.ts';

/** Where a stored response lives on: its input, its run, its answer. */
export function storeRun(run: ResponseRun, service: ResponsesService): void {
  const { plan, events } = run;
  service.store.add({
    id: run.id,
    owner: plan.owner,
    input: plan.input,
    history: plan.history,
    response: () => events.response,
    output: () => events.output,
    isOver: () => run.over,
    cancel: () => run.cancel(),
  });
}

/** What a request goes on from: the stored conversation of the response it names. */
export function storedHistory(
  id: string | null | undefined,
  owner: string,
  service: ResponsesService,
): Parsed<readonly Item[]> {
  if (id == null || id === '') return { ok: true, value: [] };
  const stored = service.store.get(id, owner);
  if (stored === null || !stored.isOver()) {
    const message = `Previous response with id '${id}' not found.`;
    return {
      ok: false,
      fault: fault('previous_response_not_found', message, { param: 'previous_response_id' }),
    };
  }
  return { ok: true, value: [...stored.history, ...stored.input, ...stored.output()] };
}
