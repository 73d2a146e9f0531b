// A whole server with its page, and Debian's Chromium to look at it. Where there is no browser, `chromium` is null and says so.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContextOptions, chromium as driver, type Page } from 'playwright-core';
import { WallClock } from '../kernels/clock.ts';
import { type LocalServer, startLocalServer } from '../server/cli/local-server.ts';
import { loadConfig } from '../server/config/config.ts';
import { buildPage } from './built-page.ts';
import { MemoryTerminal } from './memory-terminal.ts';
import { builtGraphs } from './run-folders.ts';
import { servedEnv } from './served-env.ts';

const require = createRequire(import.meta.url);

export const chromium =
  ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
    existsSync(path),
  ) ?? null;
if (chromium === null) console.log('skipped: no Chromium at /usr/bin to open the page with');

export interface PageRig {
  readonly server: LocalServer;
  /** Another tab; what the page complains about on its console ends in `complaints`. */
  open(path?: string, options?: BrowserContextOptions): Promise<Page>;
  readonly complaints: string[];
  close(): Promise<void>;
}

export async function pageRig(flags: Readonly<Record<string, unknown>>): Promise<PageRig> {
  const built = buildPage();
  const cacheDirectory = builtGraphs();
  const config = loadConfig({
    flags: { port: 0, cacheDirectory, logLevel: 'warn', ...flags },
    env: servedEnv,
  });
  const terminal = new MemoryTerminal();
  const clock = new WallClock();
  const server = await startLocalServer(config, {
    ...{ terminal, env: {}, clock, epochMs: () => Date.now() },
    pageAssets: built.assets,
  });
  const browser: Browser = await driver.launch({ executablePath: chromium!, args: ['--no-sandbox'] });
  const complaints: string[] = [];
  return {
    server,
    complaints,
    open: async (path = '/', options = {}) => {
      const context = await browser.newContext({ viewport: { width: 1280, height: 820 }, ...options });
      const page = await context.newPage();
      page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
      });
      page.on('pageerror', (error) => void complaints.push(error.message));
      await page.goto(`${server.url}${path}`);
      return page;
    },
    close: async () => {
      await browser.close();
      await server.stop();
      built.remove();
    },
  };
}

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string | null;
    readonly nodes: readonly { readonly html: string }[];
  }[];
}

/** What axe-core calls serious or worse in the page as it stands. Needs a context with `bypassCSP`. */
export async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  const result = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as AxeResult;
  return result.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
}
