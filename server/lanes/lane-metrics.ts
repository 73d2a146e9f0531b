// What lanes do, as Prometheus metrics in the server's registry. Owns their names; listens as an observer.
// Before it: visit.ts and entry.ts; after it: metrics/metrics.ts renders.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Lanes } from './lanes.ts';
import type { LaneObserver } from './observer.ts';

const ROUTE_BUCKETS = [0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005]; // seconds
const WAIT_BUCKETS = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60]; // seconds

export function laneMetrics(registry: Registry, lanesNow: () => Lanes) {
  const registers = [registry];
  const counter = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name: `sparklane_${name}`, help, labelNames, registers });
  const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name: `sparklane_${name}`, help, labelNames, buckets, registers });
  const routes = counter('lane_routes_total', 'Requests by lane and why', 'lane', 'class', 'rule', 'move');
  const overflows = counter('lane_overflows_total', 'Requests sent to another lane', 'from', 'to');
  const refusals = counter('lane_refusals_total', 'Requests refused by a lane', 'lane', 'code');
  const attempts = counter('upstream_attempts_total', 'Requests to an upstream', 'lane', 'outcome');
  const tokens = counter('lane_tokens_total', 'Tokens of ended answers', 'lane', 'kind');
  const money = counter('lane_cost_total', "Money, in the lanes file's currency", 'lane');
  const reads = 'Changed policy files: used, or refused and the old one kept';
  const policyReads = counter('policy_reads_total', reads, 'outcome');
  const routeSeconds = histogram('lane_route_seconds', 'Reading signals and deciding', [], ROUTE_BUCKETS);
  const waitSeconds = histogram('lane_wait_seconds', 'Queue of a lane', ['lane'], WAIT_BUCKETS);
  const answerSeconds = histogram('lane_answer_seconds', 'Lane entered to end', ['lane'], WAIT_BUCKETS);
  const requests = new Gauge({
    name: 'sparklane_lane_requests',
    help: 'Requests in a lane now',
    labelNames: ['lane', 'state'],
    registers,
    collect: () => {
      for (const { name, running, waiting, circuit } of lanesNow().report) {
        requests.set({ lane: name, state: 'running' }, running);
        requests.set({ lane: name, state: 'waiting' }, waiting);
        if (circuit !== '') circuits.set({ lane: name }, circuit === 'closed' ? 0 : 1);
      }
    },
  });
  const circuits = new Gauge({
    name: 'sparklane_upstream_circuit_open',
    help: '1: the upstream of the lane is left alone',
    labelNames: ['lane'],
    registers,
  });
  return {
    onRouted({ decision, lane, overflowFrom, waitedMs, routeMs }) {
      routes.inc({ lane, class: decision.taskClass, rule: decision.rule, move: decision.move });
      if (overflowFrom !== null) overflows.inc({ from: overflowFrom, to: lane });
      routeSeconds.observe(routeMs / 1000);
      waitSeconds.observe({ lane }, waitedMs / 1000);
    },
    onRefused: (lane, code) => refusals.inc({ lane, code }),
    onAttempt: (lane, outcome) => attempts.inc({ lane, outcome }),
    onPolicyRead: (used: boolean) => policyReads.inc({ outcome: used ? 'used' : 'refused' }),
    onLaneEnd({ lane, promptTokens, cachedTokens, outputTokens, cost, durationMs }) {
      tokens.inc({ lane, kind: 'prompt' }, promptTokens);
      tokens.inc({ lane, kind: 'cached' }, cachedTokens);
      tokens.inc({ lane, kind: 'output' }, outputTokens);
      money.inc({ lane }, cost);
      answerSeconds.observe({ lane }, durationMs / 1000);
    },
  } satisfies LaneObserver & { readonly onPolicyRead: (used: boolean) => void };
}
