// GET /healthz (the process answers), /readyz (it takes requests), /health (the same in llama-server's words), /metrics
// (Prometheus). Before it: door.ts.
import { fault } from '../base/errors.ts';
import type { ServerMetrics } from '../metrics/metrics.ts';
import type { Route } from './door.ts';

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
    {
      method: 'GET',
      path: '/healthz',
      open: true,
      about: { group: 'health', summary: 'The process answers' },
      answer: (call) => call.reply(200, { status: 'ok' }),
    },
    {
      method: 'GET',
      path: '/readyz',
      open: true,
      about: { group: 'health', summary: 'It takes requests; 503 while it drains, or no lane answers' },
      answer: (call) => {
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
    },
    {
      method: 'GET',
      path: '/health',
      open: true,
      about: { group: 'health', summary: 'The same in the words of llama-server' },
      answer: (call) => {
        if (!isDraining()) call.reply(200, { status: 'ok' });
        else
          call.reply(503, {
            error: { code: 503, message: 'the server is shutting down', type: 'unavailable_error' },
          });
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      open: false,
      about: { group: 'health', summary: 'Metrics as Prometheus reads them', answers: 'text' },
      whenFull: true, // that is when somebody looks
      answer: (call) => {
        const reply = ({ text, contentType }: { text: string; contentType: string }) =>
          call.replyText(200, text, { 'content-type': contentType });
        metrics.render().then(reply, (error: unknown) =>
          call.guard(() => {
            throw error;
          }),
        );
      },
    },
  ];
}
