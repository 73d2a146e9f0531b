// GET /healthz (the process answers), /readyz (it takes requests), /health (the same in llama-server's words), /metrics
// (Prometheus). Before it: door.ts.
import { fault } from '../base/errors.ts';
import type { ServerMetrics } from '../metrics/metrics.ts';
import { type Route, routesIn } from './route.ts';

const table = routesIn('health');

export interface HealthParts {
  readonly metrics: ServerMetrics;
  readonly isDraining: () => boolean;
  readonly lanes: (() => readonly LaneHealth[]) | null; // null: there are none
}

/** A lane, and whether its upstream is asked at present; '': it has none, this server answers. */
export interface LaneHealth {
  readonly name: string;
  readonly circuit: string;
}

export function healthRoutes({ metrics, isDraining, lanes }: HealthParts): readonly Route[] {
  return [
    table.get('/healthz', { summary: 'The process answers', open: true }, (call) =>
      call.reply(200, { status: 'ok' }),
    ),
    table.get(
      '/readyz',
      { summary: 'It takes requests; 503 while it drains, or no lane answers', open: true },
      (call) => {
        if (isDraining()) call.refuse(fault('draining', 'the server is shutting down'));
        else if (lanes === null) call.reply(200, { status: 'ok' });
        else {
          const states = lanes().map(({ name, circuit }) => [name, circuit === 'open' ? 'down' : 'ok']);
          // One that answers is enough: requests for the others are told how long it will be.
          const ready = states.some(([, state]) => state === 'ok');
          const status = ready ? 'ok' : 'no lane answers';
          call.reply(ready ? 200 : 503, { status, lanes: Object.fromEntries(states) });
        }
      },
    ),
    table.get('/health', { summary: 'The same in the words of llama-server', open: true }, (call) => {
      if (!isDraining()) call.reply(200, { status: 'ok' });
      else
        call.reply(503, {
          error: { code: 503, message: 'the server is shutting down', type: 'unavailable_error' },
        });
    }),
    // that is when somebody looks
    table.get(
      '/metrics',
      { summary: 'Metrics as Prometheus reads them', answers: 'text', whenFull: true },
      (call) => {
        const reply = ({ text, contentType }: { text: string; contentType: string }) =>
          call.replyText(200, text, { 'content-type': contentType });
        metrics.render().then(reply, (error: unknown) =>
          call.guard(() => {
            throw error;
          }),
        );
      },
    ),
  ];
}
