// What the server is doing now: queue, slots, cache, sessions, lanes, and the last ten minutes in curves. Before it: whole-page.tsx;
// after it: live-feed.ts.
import type { VNode } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import type { Api } from './api.ts';
import { CacheTree } from './cache-tree.tsx';
import { Chart } from './chart.tsx';
import { KvMap } from './kv-map.tsx';
import type { LiveFeed, LiveState } from './live-feed.ts';
import { LaneList, PromptList, SeatList, SessionList } from './live-lists.tsx';
import { columnsOf, headlineOf } from './live-numbers.ts';
import type { LivePoint, LiveReport } from './live-report.ts';
import { count, digits, milliseconds, percent } from './numbers.ts';
import { OwnSessions } from './own-sessions.tsx';
import type { ServerFacts } from './server-facts.ts';
import { useStore } from './use-store.ts';

export interface LivePaneProps {
  readonly api: Api;
  readonly feed: LiveFeed;
  readonly facts: ServerFacts;
}

export function LivePane({ api, feed, facts }: LivePaneProps): VNode {
  useEffect(() => feed.watch(), [feed]);
  const state = useStore(feed);
  const { report, trouble } = state;
  return (
    <div class="live">
      <header class="pane-head">
        <h1>Live</h1>
        {trouble === '' ? (
          <span class="tag live-now">live</span>
        ) : (
          <span class="tag bad" role="status">
            {trouble}; trying again
          </span>
        )}
        <span class="grow" />
        <span class="hint">{report?.device.description}</span>
      </header>
      {report === null ? (
        <p class="centred hint">Waiting for the first report…</p>
      ) : (
        <Body {...state} report={report} api={api} facts={facts} />
      )}
    </div>
  );
}

function Body({
  points,
  pointMs,
  report,
  api,
  facts,
}: LiveState & Omit<LivePaneProps, 'feed'> & { readonly report: LiveReport }): VNode {
  return (
    <div class="live-body">
      <Tiles points={points} pointMs={pointMs} report={report} />
      <Curves points={points} pointMs={pointMs} />
      <div class="live-grid">
        <SeatList seats={report.seats} device={report.device} />
        <PromptList prompts={report.prompts} nowMs={report.nowMs} />
        <KvMap kv={report.kv} device={report.device} />
        <CacheTree trees={report.kv.trees} cut={report.kv.cut} />
        <SessionList sessions={report.sessions} />
        {report.sessions.count > 0 && <OwnSessions api={api} showsText={facts.showsText} />}
        {report.lanes !== null && <LaneList lanes={report.lanes} />}
      </div>
    </div>
  );
}

function Tiles({
  points,
  pointMs,
  report,
}: Pick<LiveState, 'points' | 'pointMs'> & { readonly report: LiveReport }): VNode {
  const { queue } = report;
  const now = headlineOf(points, pointMs, report);
  const share = (value: number | null): string => (value === null ? '–' : percent(value));
  return (
    <dl class="tiles">
      <Tile name="Answering" value={count(queue.running)} more={`${count(queue.waiting)} in the queue`} />
      <Tile name="Tokens drawn" value={`${digits(now.tokensPerSecond)}/s`} more="over 10 s" />
      <Tile name="Prompt tokens" value={`${digits(now.prefillPerSecond)}/s`} more="computed" />
      <Tile name="First token" value={milliseconds(now.ttftMs)} more="latest median" />
      <Tile name="Between tokens" value={milliseconds(now.itlMs)} more="latest median" />
      <Tile name="Cached" value={share(now.cachedShare)} more="of latest prompts" />
      <Tile name="Drafts kept" value={share(now.draftShare)} more="of those tried" />
      <Tile name="KV in use" value={percent(now.kvShare)} more="of the store" />
    </dl>
  );
}

function Tile({ name, value, more }: Readonly<{ name: string; value: string; more: string }>): VNode {
  return (
    <div class="tile card">
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong>
        <span class="hint">{more}</span>
      </dd>
    </div>
  );
}

function Curves({ points, pointMs }: Pick<LiveState, 'points' | 'pointMs'>): VNode {
  const nowMs = points.at(-1)?.atMs ?? 0;
  const rate = (tokens: number): number => (tokens * 1000) / pointMs;
  const charts = useMemo(() => {
    const of = (...values: ((point: LivePoint) => number | null)[]) => columnsOf(points, nowMs, values);
    return {
      ttft: of(
        ({ ttftMsP50 }) => ttftMsP50,
        ({ ttftMsP95 }) => ttftMsP95,
      ),
      itl: of(
        ({ itlMsP50 }) => itlMsP50,
        ({ itlMsP95 }) => itlMsP95,
      ),
      tokens: of(
        ({ decodeTokens }) => rate(decodeTokens),
        ({ prefillTokens }) => rate(prefillTokens),
      ),
      work: of(
        ({ running }) => running,
        ({ waiting }) => waiting,
      ),
    };
  }, [points]);
  const median = { label: 'median', colour: '--series-1' } as const;
  const high = { label: '95 %', colour: '--series-2' } as const;
  return (
    <div class="charts">
      <Chart title="First token" unit="ms" series={[median, high]} columns={charts.ttft} format={digits} />
      <Chart title="Between tokens" unit="ms" series={[median, high]} columns={charts.itl} format={digits} />
      <Chart
        title="Tokens"
        unit="a second"
        series={[
          { label: 'drawn', colour: '--series-1' },
          { label: 'prompt', colour: '--series-3' },
        ]}
        columns={charts.tokens}
        format={count}
      />
      <Chart
        title="Requests"
        unit="at once"
        series={[
          { label: 'answering', colour: '--series-1' },
          { label: 'waiting', colour: '--series-4' },
        ]}
        columns={charts.work}
        format={count}
      />
    </div>
  );
}
