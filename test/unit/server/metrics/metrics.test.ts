import { expect, test } from 'vitest';
import { ServerMetrics } from '../../../../server/metrics/metrics.ts';

function metrics(): ServerMetrics {
  return new ServerMetrics({ nodeMetrics: false });
}

async function lines(of: ServerMetrics): Promise<readonly string[]> {
  return (await of.render()).text.split('\n').map((line) => line.replace('sparklane_', ''));
}

test('latencies are in seconds, by class where a class waits', async () => {
  const server = metrics();
  server.onSeat({
    ...{ priority: 'side', queueMs: 30, promptTokens: 8, cachedTokens: 0, coldTokens: 0, keptTokens: 0 },
    missReason: 'new',
  });
  server.onFirstToken({ priority: 'turn', ttftMs: 150 });
  const text = await lines(server);
  expect(text).toContain('queue_wait_seconds_sum{priority="side"} 0.03');
  expect(text).toContain('ttft_seconds_bucket{le="0.1",priority="turn"} 0');
  expect(text).toContain('ttft_seconds_bucket{le="0.2",priority="turn"} 1');
});

test('tokens that came together have one gap between them and the one before', async () => {
  const server = metrics();
  server.onTokenGap(4, 3);
  const text = await lines(server);
  expect(text).toContain('itl_seconds_count 3');
  expect(text).toContain('itl_seconds_bucket{le="0.0002"} 2');
  expect(text).toContain('itl_seconds_sum 0.004');
});

test('an ended sequence counts its tokens and its mean gap, which a single token does not have', async () => {
  const server = metrics();
  const tokens = { promptTokens: 100, cachedTokens: 64, acceptedDraftTokens: 0, rejectedDraftTokens: 0 };
  const end = { priority: 'turn', reason: 'stop', ...tokens } as const;
  server.onEnd({ ...end, outputTokens: 11, tpotMs: 2 });
  server.onEnd({ ...end, reason: 'cancelled', outputTokens: 1, tpotMs: null });
  const text = await lines(server);
  for (const line of [
    'prompt_tokens_total 200',
    'cached_tokens_total 128',
    'output_tokens_total 12',
    'tpot_seconds_count 1',
    'sequences_total{reason="stop"} 1',
    'sequences_total{reason="cancelled"} 1',
  ]) {
    expect(text).toContain(line);
  }
});

test('a step tells its batch, its tokens and where its time went', async () => {
  const server = metrics();
  server.onStep({
    replica: 0,
    rowCount: 5,
    prefillTokens: 64,
    decodeTokens: 4,
    restoredBlocks: 3,
    recomputedTokens: 0,
    planMs: 0.02,
    stepMs: 2.5,
    deviceMs: 2,
  });
  server.onStepFailure('worker-died');
  const text = await lines(server);
  for (const line of [
    'step_rows_sum 5',
    'step_tokens_total{kind="prefill"} 64',
    'step_tokens_total{kind="decode"} 4',
    'step_seconds_sum 0.0025',
    'step_device_seconds_sum 0.002',
    'step_plan_seconds_bucket{le="0.00002"} 1',
    'restored_blocks_total 3',
    'step_failures_total{code="worker-died"} 1',
  ]) {
    expect(text).toContain(line);
  }
});

test('KV blocks and sequences are what the latest report said; free is the rest', async () => {
  const server = metrics();
  const counts = { runningCount: 2, waitingCount: 1, pausedCount: 1 };
  const report = { blockCount: 100, inUseCount: 10, idleCachedCount: 30, touchedCount: 50, ...counts };
  server.onKv({ ...report, inUseCount: 99 });
  server.onKv(report);
  const text = await lines(server);
  for (const line of [
    'kv_blocks{state="in_use"} 10',
    'kv_blocks{state="cached"} 30',
    'kv_blocks{state="free"} 60',
    'sequences{state="running"} 2',
    'sequences{state="waiting"} 1',
    'sequences{state="paused"} 1',
    'kv_touched_blocks 50',
  ]) {
    expect(text).toContain(line);
  }
});

test('refusals, preemptions and evictions are counted', async () => {
  const server = metrics();
  server.onRefusal('queue-full');
  server.onPreemption();
  server.onEviction(7, 'capacity');
  const text = await lines(server);
  expect(text).toContain('refusals_total{reason="queue-full"} 1');
  expect(text).toContain('preemptions_total 1');
  expect(text).toContain('evicted_blocks_total{reason="capacity"} 7');
});

test('two servers of one process do not share a registry; Node’s own metrics are there when asked for', async () => {
  const first = metrics();
  first.onPreemption();
  expect(await lines(metrics())).toContain('preemptions_total 0');
  const { text } = await new ServerMetrics({ nodeMetrics: true }).render();
  expect(text).toContain('sparklane_nodejs_eventloop_lag_seconds');
});
