// Routes of the models pane: what the hub's cache holds, and pulling one more, which takes the admin key. Before it: ui.ts; after
// it: pull-desk.ts.
import { z } from 'zod';
import { fault } from '../base/errors.ts';
import type { Route } from '../http/door.ts';
import type { PullDesk } from './pull-desk.ts';

const pullSchema = z.strictObject({ name: z.string().min(3).max(512) });

/** `desk` null: this server pulls nothing. */
export function pullRoutes(desk: PullDesk | null): readonly Route[] {
  const group = 'page';
  return [
    {
      method: 'GET',
      path: '/ui/models',
      open: false,
      about: { group, summary: 'Models in the cache of the hub' },
      answer: (call) => call.reply(200, { cached: desk?.cached ?? [], can_pull: desk !== null }),
    },
    {
      method: 'POST',
      path: '/ui/pull',
      open: false,
      admin: true,
      about: { group, summary: 'Pulls a model of the hub; /ui/live tells how far it is', body: pullSchema },
      answer: (call) =>
        call.readJson(pullSchema, ({ name }) => {
          const refused =
            desk === null ? fault('unsupported', 'this server pulls nothing') : desk.start(name);
          if (refused === null) call.reply(202, { name });
          else call.refuse(refused);
        }),
    },
    {
      method: 'DELETE',
      path: '/ui/pull',
      open: false,
      admin: true,
      about: { group, summary: 'Cancels the pull that is running; what has arrived is kept' },
      answer: (call) => call.reply(200, { cancelled: desk?.cancel() ?? false }),
    },
  ];
}
