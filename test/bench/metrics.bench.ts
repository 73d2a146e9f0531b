// How long GET /metrics holds the event loop: what a server has to tell whose every route was asked and answered with many a
// status, with many lanes, each routed to by many rules, in ms of the thread's own time, the least and the longest of several.
// Run: npx tsx test/bench/metrics.bench.ts
import { laneMetrics } from '../../server/lanes/lane-metrics.ts';
import { ServerMetrics } from '../../server/metrics/metrics.ts';
import { threadMs } from './thread-time.ts';

const tries = 15;
const routeCount = 100; // more than there are
const statuses = [200, 400, 401, 404, 408, 413, 429, 500, 503];

async function measured(laneCount: number): Promise<object> {
  const metrics = new ServerMetrics({ nodeMetrics: true });
  for (let index = 0; index < routeCount; index++) {
    for (const status of statuses) {
      metrics.onHttpAnswer({ route: `/v1/a-route-as-long-as-ours-are/${index}`, status, durationMs: index });
    }
  }
  const names = Array.from({ length: laneCount }, (_, index) => `lane-${index}`);
  const report = names.map((name) => ({ name, running: 1, waiting: 0, circuit: 'closed' }));
  const lanes = laneMetrics(metrics.registry, () => ({ report }) as unknown as ReturnType<LanesNow>);
  for (const lane of names) {
    for (const rule of ['edit', 'rename', 'question', 'feature']) {
      const decision = { taskClass: rule, rule, move: 'start' };
      lanes.onRouted({ decision, lane, overflowFrom: null, waitedMs: 1, routeMs: 1 } as Routed);
    }
    lanes.onLaneEnd({
      lane,
      promptTokens: 1,
      cachedTokens: 0,
      outputTokens: 1,
      cost: 1,
      durationMs: 5,
    } as Ended);
  }
  const took: number[] = [];
  let size = 0;
  for (let attempt = 0; attempt < tries; attempt++) {
    const start = threadMs();
    size = (await metrics.render()).text.length;
    took.push(threadMs() - start);
  }
  return {
    lanes: laneCount,
    KiB: (size / 1024).toFixed(0),
    least: Math.min(...took).toFixed(1),
    longest: Math.max(...took).toFixed(1),
  };
}

type LanesNow = Parameters<typeof laneMetrics>[1];
type Routed = Parameters<ReturnType<typeof laneMetrics>['onRouted']>[0];
type Ended = Parameters<ReturnType<typeof laneMetrics>['onLaneEnd']>[0];

const rows: object[] = [];
for (const laneCount of [0, 2, 16, 64]) rows.push(await measured(laneCount));
console.table(rows);
