// The plain HTTP routes (health, models, tokenize, an answer that is not streamed), driven by autocannon: a closed loop
// of connections, or a fixed rate with autocannon's correction for coordinated omission. Streams are driver.ts's.
import autocannon from 'autocannon';
import { FlagError } from '../../base/flag-error.ts';

export const PLAIN_ROUTES = {
  health: { method: 'GET', path: '/healthz', body: null },
  models: { method: 'GET', path: '/v1/models', body: null },
  tokenize: {
    method: 'POST',
    path: '/tokenize',
    body: {
      content: 'function add(a, b) { return a + b; }\n',
      prompt: 'function add(a, b) { return a + b; }\n',
    },
  },
  completion: {
    method: 'POST',
    path: '/v1/completions',
    body: { prompt: 'function add(a, b) {', max_tokens: 16, stream: false },
  },
} as const;

export type PlainRoute = keyof typeof PLAIN_ROUTES;

export interface PlainPlan {
  readonly url: string;
  readonly route: PlainRoute;
  readonly apiKey: string | null;
  readonly model: string;
  readonly connections: number;
  readonly durationSeconds: number;
  readonly perSecond: number | null; // null: as fast as the connections go
}

export interface PlainReport {
  readonly format: 'sparklane loadtest routes';
  readonly route: PlainRoute;
  readonly connections: number;
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly latencyMs: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly max: number;
  };
  readonly failures: number; // no 2xx, errors and timeouts
  readonly method: string;
}

export function parseRoute(text: string): PlainRoute {
  const names = Object.keys(PLAIN_ROUTES) as PlainRoute[];
  const route = names.find((name) => name === text);
  if (route === undefined) throw new FlagError('routes', text, names.join(', '));
  return route;
}

/** `onStart` gets a function that stops early. */
export async function runPlainRoute(
  plan: PlainPlan,
  onStart: (stop: () => void) => void,
): Promise<PlainReport> {
  const { method, path, body } = PLAIN_ROUTES[plan.route];
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(
      {
        url: new URL(path, plan.url).href,
        method,
        connections: plan.connections,
        duration: plan.durationSeconds,
        headers: {
          ...(body !== null && { 'content-type': 'application/json' }),
          ...(plan.apiKey !== null && { authorization: `Bearer ${plan.apiKey}` }),
        },
        ...(body !== null && { body: JSON.stringify({ ...body, model: plan.model }) }),
        ...(plan.perSecond !== null && { overallRate: plan.perSecond }),
      },
      (error, finished) => (error ? reject(error as Error) : resolve(finished)),
    );
    onStart(() => {
      (instance as unknown as { stop(): void }).stop();
    });
  });
  const { p50, p90, p99, max } = result.latency;
  return {
    format: 'sparklane loadtest routes',
    route: plan.route,
    connections: plan.connections,
    requests: result.requests.total,
    requestsPerSecond: result.requests.average,
    latencyMs: { p50, p90, p99, max },
    failures: result.non2xx + result.errors + result.timeouts,
    method:
      plan.perSecond === null
        ? 'closed loop: each connection sends when its last answer is there (autocannon)'
        : `${plan.perSecond} requests/s, latencies corrected for coordinated omission (autocannon)`,
  };
}
