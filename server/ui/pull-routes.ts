// Routes of the models pane: what the hub's cache holds, and pulling one more, which takes the admin key. Before it: ui.ts; after
// it: pull-desk.ts.
import { z } from 'zod';
import { fault } from '../base/errors.ts';
import { type Route, routesIn } from '../http/route.ts';
import type { PullDesk } from './pull-desk.ts';

const table = routesIn('page');

const pullSchema = z.strictObject({ name: z.string().min(3).max(512) });

/** `desk` null: this server pulls nothing. */
export function pullRoutes(desk: PullDesk | null): readonly Route[] {
  return [
    table.get('/ui/models', 'Models in the cache of the hub', (call) =>
      call.reply(200, { cached: desk?.cached ?? [], can_pull: desk !== null }),
    ),
    table.posted(
      '/ui/pull',
      { summary: 'Pulls a model of the hub; /ui/live tells how far it is', body: pullSchema, admin: true },
      (call, { name }) => {
        const refused = desk === null ? fault('unsupported', 'this server pulls nothing') : desk.start(name);
        if (refused === null) call.reply(202, { name });
        else call.refuse(refused);
      },
    ),
    table.remove(
      '/ui/pull',
      { summary: 'Cancels the pull that is running; what has arrived is kept', admin: true },
      (call) => call.reply(200, { cancelled: desk?.cancel() ?? false }),
    ),
  ];
}
