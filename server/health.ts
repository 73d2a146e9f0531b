// GET /healthz (the process answers), /readyz (it takes requests), /metrics (Prometheus). Before it: http.ts.
import { fault } from './errors.ts';
import type { Route } from './http.ts';
import type { ServerMetrics } from './metrics.ts';

export interface HealthWorld {
  readonly metrics: ServerMetrics;
  readonly isDraining: () => boolean;
}

export function healthRoutes({ metrics, isDraining }: HealthWorld): readonly Route[] {
  return [
    { method: 'GET', path: '/healthz', open: true, answer: (call) => call.reply(200, { status: 'ok' }) },
    {
      method: 'GET',
      path: '/readyz',
      open: true,
      answer: (call) => {
        if (isDraining()) call.refuse(fault('draining', 'the server is shutting down'));
        else call.reply(200, { status: 'ok' });
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      open: false,
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
