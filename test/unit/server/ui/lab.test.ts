// The hardware and report panes' side of the server: what a device looks like, comparisons, reports and who may open them.
import { existsSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { PagesPlan, RegionsPlan } from '../../../../kernels/device-plan.ts';
import { fillsOf, regionName } from '../../../../server/ui/page/floor-fill.ts';
import type { Hardware, Report } from '../../../../server/ui/page/hardware.ts';
import type { LiveReport } from '../../../../server/ui/page/live-report.ts';
import type { PageHub } from '../../../../server/ui/pull-desk.ts';
import { ReportShelf } from '../../../../server/ui/report-shelf.ts';
import { type MemoryServer, memoryServer } from '../../../memory-server.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const servers: MemoryServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function serve(...args: Parameters<typeof memoryServer>): Promise<MemoryServer> {
  const server = await memoryServer(...args);
  servers.push(server);
  return server;
}

async function ask(server: MemoryServer, path: string, body?: object, headers: Record<string, string> = {}) {
  const call = server.call({ path, headers, ...(body !== undefined && { method: 'POST', body }) });
  await server.run(500);
  return call;
}

describe('the device as a picture', () => {
  test('of wafers is their floorplan, filled by the blocks in use', async () => {
    const server = await serve({ backend: 'wse3', simModel: 'llama-3.1-8b' });
    const { plan, devices, models } = (await ask(server, '/ui/hardware')).json as Hardware;
    const { regions, kvBlocks, columns, rows, coreBytes } = plan as RegionsPlan;
    expect([plan!.kind, plan!.chip, plan!.model]).toEqual(['regions', 'wse3', 'llama-3.1-8b']);
    expect(devices).toContain('h100');
    expect(models).toContain('llama-3.1-70b');
    expect(regions.reduce((sum, region) => sum + region.layerCount, 0)).toBe(32);
    for (const region of regions) {
      expect(region.x + region.columns).toBeLessThanOrEqual(columns);
      expect(region.y + region.rows).toBeLessThanOrEqual(rows);
      const full = fillsOf(region, plan as RegionsPlan, { used: kvBlocks / 2, kept: kvBlocks });
      const total = full.reduce((sum, { share }) => sum + share, 0);
      expect(total).toBeLessThanOrEqual(1.001);
      const empty = fillsOf(region, plan as RegionsPlan, { used: 0, kept: 0 });
      expect(empty.slice(3).map(({ share }) => share)).toEqual([0, 0]);
      expect(empty[1]!.share).toBe(region.weightBytes / coreBytes);
    }
    expect(regionName(regions[0]!)).toMatch(/^0/);
    expect(regionName(regions.find(({ layerCount }) => layerCount === 0)!)).toBe('head');
  });

  test('of GPUs is their memory; of this machine there is none', async () => {
    const gpu = await serve({ backend: 'h100x2', simModel: 'llama-3.1-8b' });
    const plan = ((await ask(gpu, '/ui/hardware')).json as Hardware).plan as PagesPlan;
    expect([plan.kind, plan.chipCount]).toEqual(['pages', 2]);
    expect(plan.weightBytes).toBeGreaterThan(15e9);
    expect(plan.weightBytes + plan.kvBytes).toBeLessThan(plan.memoryBytes);
    const other = await serve();
    expect(((await ask(other, '/ui/hardware')).json as Hardware).plan).toBe(null);
  });

  test('says how busy each region was since the last look', async () => {
    const server = await serve({ backend: 'wse3', simModel: 'llama-3.1-8b' });
    const live = server.call({ path: '/ui/live' });
    server.call({
      method: 'POST',
      path: '/v1/completions',
      body: { prompt: 'a b c '.repeat(400), max_tokens: 900 },
    });
    await server.run(3000);
    const reports = live.text.split('\n\n').filter((event) => event.startsWith('event: live'));
    const busy = reports.map(
      (event) => (JSON.parse(event.split('data: ')[1]!) as { busy: number[] | null }).busy,
    );
    expect(busy[0]).toBe(null);
    const most = Math.max(...busy.flatMap((shares) => shares ?? []));
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(1);
    live.leave();
  });
});

const wish = { devices: ['wse3', 'h100x2'], model: 'llama-3.1-8b' };

describe('comparisons', () => {
  test('run the program itself, one at a time, and end in a report', async () => {
    const runs: (readonly string[])[] = [];
    let end: () => void = () => {};
    const runSelf = (args: readonly string[]) => {
      runs.push(args);
      writeFileSync(args[args.indexOf('--html') + 1]!, '<head><title>a &amp; b</title></head>');
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    };
    const cacheDirectory = temporaryDirectory();
    const server = await serve({ cacheDirectory }, { page: { assets: null, runSelf } });
    const first = await ask(server, '/ui/compare', { ...wish, rate: 2 });
    const second = await ask(server, '/ui/compare', wish);
    expect([first.ended, second.status]).toEqual([false, 429]);
    end();
    await server.run(500);
    const report = first.json as Report;
    expect(report).toMatchObject({ title: 'a & b', path: expect.stringMatching(/^ui\/report\/[\w-]{43}$/) });
    expect(runs[0]).toEqual(expect.arrayContaining(['compare', '--devices', 'wse3,h100x2', '--rate', '2']));
    void ask(server, '/ui/compare', { ...wish, trace: 'agent-sessions' });
    await server.run(500);
    end();
    await server.run(100);
    expect(existsSync(runs[1]![runs[1]!.indexOf('--trace') + 1]!)).toBe(true);
    expect(runs[1]).not.toContain('--isl');
    const opened = await ask(server, `/${report.path}`);
    expect(opened.headers['content-security-policy']).toMatch(/default-src 'none'.*sandbox/);
    expect(opened.text).toContain('<title>a &amp; b</title>');
    const { reports } = (await ask(server, '/ui/reports')).json as { reports: Report[] };
    expect(reports.map(({ name }) => name)).toContain(report.name);
  });

  test('that fail say what the program said; names that could be flags or paths never reach it', async () => {
    const runs: unknown[] = [];
    const runSelf = async (args: readonly string[]) => {
      runs.push(args);
      throw new Error('llama does not fit');
    };
    const server = await serve({ cacheDirectory: temporaryDirectory() }, { page: { assets: null, runSelf } });
    const failed = await ask(server, '/ui/compare', wish);
    expect([failed.status, failed.text]).toEqual([400, expect.stringContaining('does not fit')]);
    for (const device of ['--html', '/etc/passwd', '../x', 'a b', 'wse3.json;', '']) {
      const refused = await ask(server, '/ui/compare', { ...wish, devices: [device] });
      expect([device, refused.status]).toEqual([device, 400]);
    }
    expect(runs).toHaveLength(1);
  });

  test('need a key where there are keys, as the reports do; a report’s address is enough to open it', async () => {
    const cacheDirectory = temporaryDirectory();
    const shelf = new ReportShelf(join(cacheDirectory, 'reports'));
    writeFileSync(shelf.place('mine.html'), '<head><title>mine</title></head>');
    const server = await serve({ cacheDirectory, apiKeys: ['first-key'] });
    for (const path of ['/ui/reports', '/ui/hardware', '/ui/sessions']) {
      expect([path, (await ask(server, path)).status]).toEqual([path, 401]);
    }
    const headers = { authorization: 'Bearer first-key' };
    const { reports } = (await ask(server, '/ui/reports', undefined, headers)).json as { reports: Report[] };
    expect((await ask(server, `/${reports[0]!.path}`)).status).toBe(200);
    expect((await ask(server, '/ui/report/mine.html')).status).toBe(404);
  });
});

test('the shelf keeps the latest fifty, the latest first, and shows nothing else of its folder', () => {
  const directory = join(temporaryDirectory(), 'reports');
  const shelf = new ReportShelf(directory);
  expect(shelf.list()).toEqual([]);
  for (let index = 0; index < 60; index++) {
    const path = shelf.place(`r${index}.html`);
    writeFileSync(path, `<title>report ${index}</title>`);
    utimesSync(path, index, index);
  }
  writeFileSync(join(directory, 'notes.txt'), 'x');
  const listed = shelf.list();
  expect(listed).toHaveLength(50);
  expect(listed[0]).toMatchObject({ title: 'report 59', size: 24 });
  expect(shelf.open('../../etc/passwd')).toBe(null);
});

describe('pulling', () => {
  test('one at a time, with what came of it in the live stream; it takes the admin key', async () => {
    const pulls: { name: string; onSize: (sizes: { doneSize: number; totalSize: number }) => void }[] = [];
    let finish: (path: string) => void = () => {};
    const hub = {
      cached: () => [{ id: 'a/b', files: ['safetensors'], size: 7, unfinishedSize: 0 }],
      pull: (name: string, { signal, onSize }: Parameters<PageHub['pull']>[1]) =>
        new Promise<string>((resolve, reject) => {
          pulls.push({ name, onSize });
          finish = resolve;
          signal.addEventListener('abort', () => reject(new Error('cancelled')));
        }),
    };
    const flags = { apiKeys: ['first-key'], adminKey: 'admin-key' };
    const server = await serve(flags, { page: { assets: null, hub } });
    const [user, admin] = ['first-key', 'admin-key'].map((key) => ({ authorization: `Bearer ${key}` }));
    expect((await ask(server, '/ui/pull', { name: 'a/c' }, user)).status).toBe(403);
    expect((await ask(server, '/ui/pull', { name: 'a/c' }, admin)).status).toBe(202);
    expect((await ask(server, '/ui/pull', { name: 'a/d' }, admin)).status).toBe(429);
    pulls[0]!.onSize({ doneSize: 3, totalSize: 9 });
    const latest = async () => {
      const live = server.call({ path: '/ui/live', headers: user! });
      await server.run(100);
      live.leave();
      return (JSON.parse(live.text.split('data: ').at(-1)!) as LiveReport).pulls;
    };
    expect(await latest()).toEqual([{ name: 'a/c', doneSize: 3, totalSize: 9, state: 'running', note: '' }]);
    finish('/cache/a-c');
    await server.run(100);
    expect(await latest()).toMatchObject([{ state: 'done', note: '/cache/a-c' }]);
    await ask(server, '/ui/pull', { name: 'a/e' }, admin);
    const cancelled = server.call({ method: 'DELETE', path: '/ui/pull', headers: admin! });
    await server.run(100);
    expect(cancelled.json).toEqual({ cancelled: true });
    expect(await latest()).toMatchObject([
      { name: 'a/e', state: 'failed', note: 'cancelled' },
      { name: 'a/c' },
    ]);
    const { cached } = (await ask(server, '/ui/models', undefined, user)).json as { cached: object[] };
    expect(cached).toHaveLength(1);
  });
});
