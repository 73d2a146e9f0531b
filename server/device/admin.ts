// GET and POST /admin/backend: which device serves, and another one in its place while sequences run. POST /admin/fault,
// where tests have switched it on: a device that fails.
// Before it: http/door.ts; after it: current-device.ts.
import { z } from 'zod';
import { deviceFaults } from '../../kernels/backend.ts';
import { PRECISIONS } from '../../kernels/sim/precision.ts';
import { fault } from '../base/errors.ts';
import { type Route, routesIn } from '../http/route.ts';
import type { CurrentDevice, DeviceWish, MovingEngine } from './current-device.ts';

const table = routesIn('admin');

// Names only, no paths: callers do not choose what files the server reads.
const name = z.string().regex(/^[A-Za-z0-9][\w.-]{0,63}$/, 'must be a name of at most 64 of A-Za-z0-9_.-');

const wishSchema = z.strictObject({
  backend: name,
  sim_model: name.nullish(),
  sim_precision: z.enum(['auto', ...PRECISIONS]).nullish(),
  sim_weights: z.enum(['resident', 'streamed']).nullish(),
  sim_text: z.enum(['noise', 'model']).nullish(),
});

const faultSchema = z.strictObject({ fault: z.enum(deviceFaults), replica: z.int().min(0).nullish() });

export interface AdminParts {
  readonly device: Pick<CurrentDevice, 'facts' | 'replace' | 'backend'>;
  readonly engine: MovingEngine;
}

export function adminRoutes({ device, engine }: AdminParts): readonly Route[] {
  const path = '/admin/backend';
  return [
    table.get(path, 'The device that serves', (call) => call.reply(200, device.facts)),
    table.posted(
      path,
      { summary: 'Another device in its place, under the answers', body: wishSchema, admin: true },
      (call, body) => {
        device.replace(engine, wishOf(body)).then(
          (replaced) => {
            if (!replaced.ok) return call.refuse(replaced.fault);
            const { elapsedMs, ...report } = replaced.value;
            call.reply(200, { ...report, elapsed_ms: Math.round(elapsedMs) });
          },
          (error: unknown) =>
            call.guard(() => {
              throw error;
            }),
        );
      },
    ),
  ];
}

/** With --device-faults on. Answers at once; the fault happens in the replica's next step. */
export function faultRoute({ device }: Pick<AdminParts, 'device'>): Route {
  return table.posted(
    '/admin/fault',
    { summary: 'A fault of the device in its next step', body: faultSchema, admin: true },
    (call, { fault: kind, replica }) => {
      const { backend } = device;
      const { replicaCount } = backend.limits;
      const at = replica ?? 0;
      if (at >= replicaCount) {
        const message = `replica: ${at} is not in [0, ${replicaCount})`;
        return call.refuse(fault('invalid_request', message, { param: 'replica' }));
      }
      if (backend.injectFault === undefined) {
        return call.refuse(fault('unsupported', `${backend.name} cannot be told to fail`));
      }
      backend.injectFault(at, kind);
      call.reply(200, { fault: kind, replica: at });
    },
  );
}

function wishOf(body: z.output<typeof wishSchema>): DeviceWish {
  const { backend, sim_model: simModel, sim_precision: simPrecision } = body;
  const { sim_weights: simWeights, sim_text: simText } = body;
  return {
    backend,
    ...(simModel != null && { simModel }),
    ...(simPrecision != null && { simPrecision: simPrecision === 'auto' ? null : simPrecision }),
    ...(simWeights != null && { simWeights }),
    ...(simText != null && { simText }),
  };
}
