// The other panes in a browser, against the real model: live, hardware, models, reports, the key, what a model's markup becomes,
// and that a page that stays open does not grow (PAGE_MINUTES, 3 unless given).
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LiveReport } from '../../server/ui/page/live-report.ts';
import { chromium, type PageRig, pageRig, seriousFaults } from '../page-rig.ts';

const PAGE_MINUTES = Number(process.env['PAGE_MINUTES'] ?? 3);

let rig: PageRig;
const ask = async (content: string): Promise<void> => {
  const body = JSON.stringify({ max_tokens: 24, messages: [{ role: 'user', content }] });
  const headers = { 'content-type': 'application/json' };
  await (await fetch(`${rig.server.url}/v1/chat/completions`, { method: 'POST', headers, body })).text();
};

describe.skipIf(chromium === null)('the page', () => {
  beforeAll(async () => {
    rig = await pageRig({ contextTokens: '2048', slots: '4' });
    await ask('What is the capital of France?');
    await ask('What is the capital of Spain?');
  });
  afterAll(() => rig.close());

  const text = async (page: Page, selector: string): Promise<string> =>
    (await page.locator(selector).textContent())!;

  test('shows live what the server does: why a prompt was computed, what is cached and shared', async () => {
    const page = await rig.open('/#live');
    await page.locator('.tiles').waitFor();
    const prompts = page.getByRole('region', { name: 'Latest prompts' });
    await prompts.getByText('differs from here from what is cached').waitFor();
    await prompts.getByText('nothing like it was known').waitFor();
    expect(await text(page, '.tree')).toMatch(/everybody · \d+ tokens/);
    await page.getByRole('img', { name: /blocks in use, [1-9]\d* kept for reuse/ }).waitFor();
    await ask('What is the capital of Italy?'); // seen without a reload
    await prompts.locator('tbody tr').nth(2).waitFor();
    await page.context().close();
  });

  test('shows the hardware, and puts another device in its place', async () => {
    const page = await rig.open('/#hardware');
    await page.getByRole('region', { name: 'Step costs' }).getByText('A prompt token').waitFor();
    await page
      .getByLabel(/^Device/)
      .first()
      .selectOption('wse3');
    await page.getByRole('button', { name: 'Switch', exact: true }).click();
    await page.getByRole('img', { name: /regions of cores/ }).waitFor({ timeout: 180_000 });
    await page
      .getByLabel(/^Device/)
      .first()
      .selectOption('h100');
    await page.getByRole('button', { name: 'Switch', exact: true }).click();
    await page.getByRole('img', { name: /^Memory: weights/ }).waitFor();
    await page
      .getByLabel(/^Device/)
      .first()
      .selectOption('cpu');
    await page.getByRole('button', { name: 'Switch', exact: true }).click();
    await page.getByRole('region', { name: 'KV cache' }).waitFor({ timeout: 180_000 });
    await page.context().close();
  });

  test('lists the models, and reports where there are some', async () => {
    const page = await rig.open('/#models');
    const served = page.getByRole('region', { name: 'Served' });
    await served.getByText('smollm2-135m-instruct').first().waitFor();
    await served.getByText('loaded').first().waitFor();
    await page.getByRole('link', { name: 'Reports' }).click();
    await page.getByText('No report yet').waitFor();
    await page.context().close();
  });

  test.each([
    ['light', 1280], // colours are the scheme's, what lies where is the width's
    ['dark', 390],
  ] as const)(
    'has no serious fault of accessibility in any pane: %s, %d pixels',
    async (colorScheme, width) => {
      const page = await rig.open('/#live', {
        colorScheme,
        viewport: { width, height: 800 },
        bypassCSP: true,
      });
      for (const pane of ['Live', 'Hardware', 'Models', 'Reports']) {
        await page.getByRole('link', { name: pane }).click();
        await page.getByRole('heading', { level: 1, name: pane }).waitFor();
        await page.locator('.live-body').waitFor();
        expect([pane, await seriousFaults(page)]).toEqual([pane, []]);
        const overflow = 'document.documentElement.scrollWidth > document.documentElement.clientWidth';
        expect([pane, await page.evaluate(overflow)]).toEqual([pane, false]);
      }
      await page.context().close();
    },
  );

  test('makes nothing of a model’s markup but text', async () => {
    const page = await rig.open();
    const evil = [
      '<img src=x onerror="document.title=1"><script>document.title=2</script>',
      '[click](javascript:document.title=3) ![pixel](https://evil.example/p.png) [good](https://good.example/)',
      '<iframe src="https://evil.example"></iframe> **bold**',
    ].join('\n\n');
    const events = [{ choices: [{ delta: { content: evil }, finish_reason: 'stop' }] }];
    const body = `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`;
    await page.route('**/v1/chat/completions', (route) =>
      route.fulfill({ contentType: 'text/event-stream', body }),
    );
    await page.getByLabel('Message').fill('Hi');
    await page.keyboard.press('Enter');
    const prose = page.locator('.prose');
    await prose.getByText('bold').waitFor();
    expect(await prose.locator('img, script, iframe').count()).toBe(0);
    expect(
      await prose.locator('a').evaluateAll((links) => links.map((link) => link.getAttribute('href'))),
    ).toEqual([
      'https://evil.example/p.png', // a link that nobody follows unasked
      'https://good.example/',
    ]);
    expect(await page.title()).toBe('Sparklane');
    expect(await prose.textContent()).toContain('onerror');
    await page.context().close();
  });

  test('does not grow while it stays open', async () => {
    const reports = await longDay(rig.server.url);
    const page = await rig.open('/#models');
    await page.route('**/ui/live', (route) => route.continue({ url: `${reports.url}/ui/live` }));
    const client = await page.context().newCDPSession(page);
    const weigh = async () => {
      await client.send('HeapProfiler.collectGarbage');
      const { usedSize } = await client.send('Runtime.getHeapUsage');
      const { nodes } = await client.send('Memory.getDOMCounters');
      return { usedSize, nodes };
    };
    await page.getByRole('link', { name: 'Live' }).click();
    await reports.told(330); // past the ten minutes that are kept
    const before = await weigh();
    await reports.told(330 + 60 * PAGE_MINUTES);
    const after = await weigh();
    const grown = (after.usedSize - before.usedSize) / 2 ** 20;
    console.log(
      `after ${PAGE_MINUTES} more minutes of reports: ${grown.toFixed(2)} MiB, ${after.nodes - before.nodes} nodes`,
    );
    expect(grown).toBeLessThan(2);
    expect(after.nodes - before.nodes).toBeLessThan(400);
    await page.context().close();
    reports.close();
  }, 300_000);

  test('nothing was blocked by the page’s own policy, and nothing went wrong', () => {
    expect(rig.complaints).toEqual([]);
  });
});

describe.skipIf(chromium === null)('with an API key', () => {
  test('the page asks for it, keeps it for the tab only, and says when it is not one', async () => {
    const keyed = await pageRig({ model: 'spark-nano', apiKeys: ['first-key'] });
    const page = await keyed.open();
    const field = page.getByRole('textbox', { name: 'API key' });
    await field.fill('wrong-key');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('That is not one of its keys.').waitFor();
    await field.fill('first-key');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('heading', { name: 'Playground' }).waitFor();
    const stores = await page.evaluate(
      '[JSON.stringify(sessionStorage), JSON.stringify(localStorage), document.cookie]',
    );
    expect(stores).toEqual([expect.stringContaining('first-key'), '{}', '']);
    await page.getByRole('button', { name: 'Fill in the middle' }).click();
    await page.getByRole('button', { name: 'Fill in at the cursor' }).click();
    await page.locator('.fim ins').waitFor(); // this model can
    await page.close();
    await keyed.close();
  });
});

/** A server of live reports, one every few milliseconds, each a little different. */
async function longDay(
  url: string,
): Promise<{ url: string; told: (count: number) => Promise<void>; close(): void }> {
  const first = await fetch(`${url}/ui/live`);
  let seen = '';
  for await (const piece of first.body!.pipeThrough(new TextDecoderStream())) {
    seen += piece;
    if (/event: live\ndata: .*\n\n/.test(seen)) break;
  }
  const report = JSON.parse(/event: live\ndata: (.*)\n/.exec(seen)![1]!) as LiveReport;
  let count = 0;
  const waiting: { count: number; resolve: () => void }[] = [];
  const next = (): string => {
    count++;
    const point = { ...quiet, atMs: 2000 * count, ttftMsP50: 10 + (count % 7), decodeTokens: count % 90 };
    const cells = report.kv.cells.replace(/./g, (_, at: number) => 'fkus'[(at + count) % 4]!);
    const seats = Array.from({ length: count % 5 }, (_, slot) => ({
      ...seat,
      slot,
      outputTokens: count % 60,
    }));
    const live = { ...report, nowMs: 2000 * count, point, seats, kv: { ...report.kv, cells } };
    for (const one of waiting.splice(0)) count >= one.count ? one.resolve() : waiting.push(one);
    return `event: live\ndata: ${JSON.stringify(live)}\n\n`;
  };
  const server: Server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'access-control-allow-origin': '*' });
    response.write(`event: history\ndata: ${JSON.stringify({ pointMs: 2000, points: [] })}\n\n`);
    const timer = setInterval(() => response.write(next()), 12);
    response.on('close', () => clearInterval(timer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    told: (wanted) => new Promise((resolve) => waiting.push({ count: wanted, resolve })),
    close: () => server.closeAllConnections(),
  };
}

const quiet = {
  ...{ ttftMsP95: null, itlMsP50: 5, itlMsP95: 9, prefillTokens: 0, running: 1, waiting: 0 },
  ...{ acceptedDrafts: 0, rejectedDrafts: 0 },
};
const seat = {
  ...{ replica: 0, promptTokens: 40, cachedTokens: 16, computedTokens: 40, outputTokensMax: 60 },
};
