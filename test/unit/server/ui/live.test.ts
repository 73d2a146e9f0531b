// The live stream: what it tells, that it is made once for everybody and never for nobody, and that nothing in it grows.
import { afterEach, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { NativeClient } from '../../../../server/client/client.ts';
import { LiveRecorder, POINT_MS } from '../../../../server/ui/live-recorder.ts';
import { LiveFeed } from '../../../../server/ui/page/live-feed.ts';
import { columnsOf, headlineOf } from '../../../../server/ui/page/live-numbers.ts';
import type { LiveHistory, LivePoint, LiveReport } from '../../../../server/ui/page/live-report.ts';
import { Samples } from '../../../../server/ui/samples.ts';
import { type MemoryServer, memoryServer } from '../../../memory-server.ts';
import type { MemorySocket } from '../../../memory-socket.ts';

const servers: MemoryServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function serve(flags: Readonly<Record<string, unknown>> = {}): Promise<MemoryServer> {
  const server = await memoryServer(flags);
  servers.push(server);
  return server;
}

/** The named events of a stream, parsed. */
function eventsOf(text: string): { name: string; data: unknown }[] {
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('event: '))
    .map((event) => {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event)!;
      return { name: name!, data: JSON.parse(data!) as unknown };
    });
}

const completion = { max_tokens: 24, prompt: 'my secret: the blue horse '.repeat(8) };

describe('GET /ui/live', () => {
  test('tells what was, then what is, about every second, in numbers only', async () => {
    const server = await serve();
    const before = server.call({ method: 'POST', path: '/v1/completions', body: completion });
    await server.run(10_000);
    expect(before.status).toBe(200);
    const live = server.call({ path: '/ui/live' });
    await server.run(5000);
    const events = eventsOf(live.text);
    expect(events.map(({ name }) => name)).toEqual(['history', ...new Array(events.length - 1).fill('live')]);
    expect(events.length).toBeGreaterThanOrEqual(6);
    const history = events[0]!.data as LiveHistory;
    expect(history.points.some(({ ttftMsP50 }) => ttftMsP50 !== null)).toBe(true);
    expect(history.points.reduce((sum, point) => sum + point.decodeTokens, 0)).toBeGreaterThan(10);
    const report = events.at(-1)!.data as LiveReport;
    expect(report).toMatchObject({ queue: { running: 0, waiting: 0 }, viewers: 1, lanes: null });
    expect(report.prompts[0]).toMatchObject({ cachedTokens: 0, why: 'new' });
    expect(report.kv.keptBlocks).toBeGreaterThan(0);
    expect(live.text).not.toMatch(/secret|horse/);
    live.leave();
  });

  test('is made once for everybody, and not at all for nobody', async () => {
    const server = await serve();
    const viewers = Array.from({ length: 10 }, () => server.call({ path: '/ui/live' }));
    await server.run(3500);
    const reports = viewers.map((viewer) => eventsOf(viewer.text).at(-1)!.data);
    for (const report of reports) expect(report).toEqual(reports[0]);
    expect(reports[0]).toMatchObject({ viewers: 10 });
    for (const viewer of viewers) viewer.leave();
    await server.run(100);
    let left = 1000; // events of other parts, such as idle timers
    while (server.clock.step()) left--;
    expect(left).toBeGreaterThan(0);
  });

  test('one that does not read misses reports; none is kept for it', async () => {
    const server = await serve();
    const slow = server.call({ path: '/ui/live' });
    slow.stopReading();
    await server.run(3_600_000);
    expect(slow.bufferedMax).toBeLessThan(400_000);
    slow.leave();
  });

  test('has a bound, a key where there are keys, and ends with the server', async () => {
    const server = await serve({ uiViewerCountMax: 1, apiKeys: ['first-key'] });
    const headers = { authorization: 'Bearer first-key' };
    const stranger = server.call({ path: '/ui/live' });
    const first = server.call({ path: '/ui/live', headers });
    await server.run(100);
    const second = server.call({ path: '/ui/live', headers });
    await server.run(100);
    expect([stranger.status, first.status, second.status]).toEqual([401, 200, 503]);
    expect(second.text).toContain('--ui-viewers');
    await server.stop();
    expect(first.ended).toBe(true);
  });

  test('says why a prompt was computed', async () => {
    const server = await serve();
    const ask = async (prompt: number[]) => {
      server.call({
        method: 'POST',
        path: '/v1/completions',
        body: { prompt, max_tokens: 1 },
      });
      await server.run(2000);
    };
    const tokens = Array.from({ length: 64 }, (_, index) => 40 + index);
    await ask(tokens);
    await ask([...tokens.slice(0, 40), ...new Array(24).fill(7)]);
    const live = server.call({ path: '/ui/live' });
    await server.run(100);
    const { prompts } = eventsOf(live.text).at(-1)!.data as LiveReport;
    expect(prompts.map(({ why }) => why)).toEqual(['differs', 'new']);
    expect(prompts[0]!.cachedTokens).toBe(32);
    live.leave();
  });
});

describe('what is kept', () => {
  test('never grows, and a long silence costs nothing', () => {
    const clock = new VirtualClock();
    const recorder = new LiveRecorder(clock);
    for (let minute = 0; minute < 120; minute++) {
      for (let token = 0; token < 200; token++) recorder.onTokenGap(5 + token / 100, 1);
      clock.schedule(60_000, () => {});
      clock.run(clock.nowMs() + 60_000);
    }
    expect(recorder.points).toHaveLength(300);
    clock.schedule(1e12, () => {});
    clock.run();
    expect(recorder.points).toHaveLength(300);
    expect(recorder.points.at(-1)!.atMs).toBeGreaterThan(clock.nowMs() - POINT_MS);
  });

  test('quantiles are those of all that was seen, however much', () => {
    const samples = new Samples(64);
    expect(samples.quantile(0.5)).toBe(null);
    for (let value = 0; value < 10_000; value++) samples.add(value);
    expect(samples.count).toBe(10_000);
    expect(Math.abs(samples.quantile(0.5)! - 5000)).toBeLessThan(500);
    expect(Math.abs(samples.quantile(0.95)! - 9500)).toBeLessThan(500);
  });
});

const point = (atMs: number, change: Partial<LivePoint> = {}): LivePoint => ({
  ...{ atMs, ttftMsP50: null, ttftMsP95: null, itlMsP50: null, itlMsP95: null, decodeTokens: 0 },
  ...{ prefillTokens: 0, running: 0, waiting: 0, acceptedDrafts: 0, rejectedDrafts: 0 },
  ...change,
});

describe('the page', () => {
  test('keeps ten minutes however long it is open, and connects again', async () => {
    const streams: ReadableStreamDefaultController<Uint8Array>[] = [];
    const waits: { ms: number; fn: () => void }[] = [];
    const open = async () =>
      new Response(new ReadableStream<Uint8Array>({ start: (controller) => void streams.push(controller) }));
    const later = (ms: number, fn: () => void) => {
      waits.push({ ms, fn });
      return () => {};
    };
    const feed = new LiveFeed({ open } as never, { later });
    const stop = feed.watch();
    await new Promise(setImmediate);
    const send = (name: string, data: object) =>
      streams.at(-1)!.enqueue(new TextEncoder().encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`));
    send('history', { pointMs: 2000, points: [point(1)] });
    for (let index = 0; index < 3600; index++) send('live', { point: point(index), nowMs: index });
    while ((feed.state.report?.nowMs ?? 0) < 3599) await new Promise(setImmediate);
    expect(feed.state.points).toHaveLength(300);
    expect(feed.state.points.at(-1)!.atMs).toBe(3599);
    streams.at(-1)!.close();
    while (feed.state.trouble === '') await new Promise(setImmediate);
    expect(waits[0]!.ms).toBe(1000);
    waits[0]!.fn();
    await new Promise(setImmediate);
    expect(streams).toHaveLength(2);
    stop();
  });

  test('says in numbers what the points show', () => {
    const points = [
      point(2000, { ttftMsP50: 100, decodeTokens: 40 }),
      point(4000, { decodeTokens: 60, acceptedDrafts: 3, rejectedDrafts: 1 }),
    ];
    const report = {
      kv: { freeBlocks: 6, keptBlocks: 2, inUseBlocks: 2 },
      prompts: [{ promptTokens: 100, cachedTokens: 75 }],
    } as unknown as LiveReport;
    expect(headlineOf(points, 2000, report)).toEqual({
      ...{ tokensPerSecond: 25, prefillPerSecond: 0, ttftMs: 100, itlMs: null },
      ...{ kvShare: 0.2, cachedShare: 0.75, draftShare: 0.75 },
    });
    expect(columnsOf(points, 4000, [({ ttftMsP50 }) => ttftMsP50])).toEqual([
      [-2, 0],
      [100, null],
    ]);
  });
});

describe('native sessions', () => {
  /** A session that somebody holds, and what the stream and the list of its owner say of it. */
  async function told(flags: Readonly<Record<string, unknown>>, key: string | null) {
    const server = await serve(flags);
    const headers = key === null ? {} : { authorization: `Bearer ${key}` };
    const socket = server.transport.upgrade('/v1/sparklane', headers) as MemorySocket;
    const connecting = NativeClient.connect(socket.openSocket);
    await server.run(100);
    const session = (await connecting).open({ temperature: 0 });
    const appended = session.append({ text: 'my secret: the blue horse' });
    await server.run(500);
    const { position } = await appended;
    const live = server.call({ path: '/ui/live', headers });
    const list = (own: Record<string, string>) => server.call({ path: '/ui/sessions', headers: own });
    const mine = list(headers);
    const others = list({ authorization: 'Bearer second-key' });
    await server.run(100);
    const { sessions } = eventsOf(live.text).at(-1)!.data as LiveReport;
    live.leave();
    return { sessions, live: live.text, mine: mine.text, others: others.text, position };
  }

  test('are in the stream with owner, cursor and age, their names cut, never with a text', async () => {
    const { sessions, live, position } = await told(
      { apiKeys: ['first-key', 'second-key'], uiText: 'on' },
      'first-key',
    );
    expect(sessions.list).toEqual([
      {
        ...{ id: expect.stringMatching(/^sess_.{4}…$/), owner: 'key-1', tokens: position },
        ...{ attached: true, running: false, ageMs: expect.any(Number), idleMs: expect.any(Number) },
      },
    ]);
    expect(live).not.toMatch(/secret|horse/);
  });

  test('show their text to their own key only, and only where the option is on', async () => {
    const keys = { apiKeys: ['first-key', 'second-key'] };
    const on = await told({ ...keys, uiText: 'on' }, 'first-key');
    expect(JSON.parse(on.mine)).toMatchObject({ sessions: [{ text: 'my secret: the blue horse' }] });
    expect(JSON.parse(on.others)).toEqual({ sessions: [] });
    const off = await told(keys, 'first-key');
    expect(JSON.parse(off.mine)).toMatchObject({ sessions: [{ text: null }] });
    const keyless = await told({ uiText: 'on' }, null);
    expect(JSON.parse(keyless.mine)).toMatchObject({ sessions: [{ text: null }] });
  });
});
