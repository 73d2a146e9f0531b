// The page over the door: what GET / answers to browsers and to programs, what the policy allows, how large all of it is.
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { answerShell, uiRoutes } from '../../../../server/ui/routes.ts';
import { SHELL } from '../../../../server/ui/shell.ts';
import { buildPage } from '../../../built-page.ts';
import { httpServer } from '../../../http-world.ts';
import { MemoryTransport } from '../../../memory-transport.ts';

const COMPRESSED_MAX = 150_000; // bytes of everything that a browser may load

const page = buildPage();
afterAll(() => page.remove());

const about = { version: '0.0.0', chat: true, block_size: 16, shows_text: false };

async function serve({ flags = {}, assets = page.assets as typeof page.assets | null } = {}) {
  const clock = new VirtualClock();
  const transport = new MemoryTransport({ clock, kernelSizeMax: 2 ** 20 });
  const app = {
    routes: uiRoutes({ assets, about: () => about, live: { open: () => {} }, sessions: () => [] }),
    answerPage: (call: Parameters<typeof answerShell>[0]) => answerShell(call, assets),
  };
  const server = httpServer({ clock, flags, app });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  return async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const call = transport.call({ method, path, headers });
    clock.run(clock.nowMs() + 100);
    return call;
  };
}

describe('GET /', () => {
  test('is a page for browsers and for programs that take anything, and words for those that say nothing', async () => {
    const get = await serve();
    const html = await get('/', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' });
    expect([html.status, html.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(html.text).toBe(SHELL);
    const curl = await get('/', { accept: '*/*' });
    expect(curl.text).toContain('Ollama is running');
    expect((await get('/')).text).toBe('Ollama is running');
  });

  test('needs no key, what it asks for does', async () => {
    const get = await serve({ flags: { apiKeys: ['first-key'] } });
    expect((await get('/', { accept: 'text/html' })).status).toBe(200);
    expect((await get('/ui/main.js')).status).toBe(200);
    expect((await get('/ui/about')).status).toBe(401);
    const told = await get('/ui/about', { authorization: 'Bearer first-key' });
    expect(JSON.parse(told.text)).toEqual(about);
  });

  test('runs nothing but this server’s own files, and no text as markup', async () => {
    const get = await serve();
    const { headers } = await get('/', { accept: 'text/html' });
    const policy = headers['content-security-policy']!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("require-trusted-types-for 'script'");
    expect(policy).toMatch(/script-src 'self' 'sha256-[\w+/=]+';/);
    expect(policy).not.toContain('unsafe');
    expect(SHELL.match(/<script[^>]*>[^<]/g)).toHaveLength(1); // the import map, which the hash is of
    expect(SHELL).not.toMatch(/\son\w+=|style=/);
  });

  test('a checkout that was never built says how to build it', async () => {
    const get = await serve({ assets: null });
    const call = await get('/', { accept: 'text/html' });
    expect([call.status, call.text]).toEqual([503, expect.stringContaining('make build')]);
    expect((await get('/ui/main.js')).status).toBe(404);
  });
});

describe('its files', () => {
  test('come compressed to whoever takes that, and once only', async () => {
    const get = await serve();
    const whole = await get('/ui/main.js');
    const zipped = await get('/ui/main.js', { 'accept-encoding': 'gzip, br' });
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(page.assets.get('main.js')!.gzip.length).toBeLessThan(whole.text.length);
    const etag = whole.headers['etag']!;
    const again = await get('/ui/main.js', { 'if-none-match': etag });
    expect([again.status, again.text]).toEqual([304, '']);
  });

  test('are those of the table, whatever a caller asks for', async () => {
    const get = await serve();
    const strange = ['/ui/../../package.json', '/ui/%2e%2e/%2e%2e/package.json', '/ui/main.tsx', '/ui/lib'];
    for (const path of strange) expect([path, (await get(path)).status]).toEqual([path, 404]);
  });

  test('are found by every name that a module imports', () => {
    const imports = JSON.parse(/importmap">(.*?)</.exec(SHELL)![1]!).imports as Record<string, string>;
    const paths = new Set(page.assets.paths);
    for (const address of Object.values(imports)) expect(paths).toContain(address.replace('./ui/', ''));
    for (const path of page.assets.paths.filter((name) => name.endsWith('.js'))) {
      const text = Buffer.from(page.assets.get(path)!.body).toString();
      for (const [, name] of text.matchAll(/^import\b[^'"]*['"]([^'"]+)['"]/gm)) {
        if (name!.startsWith('.')) {
          const target = new URL(name!, `http://page/${path}`).pathname.slice(1);
          expect([path, name, paths.has(target)]).toEqual([path, name, true]);
        } else expect([path, imports[name!]]).toEqual([path, expect.any(String)]);
      }
    }
    for (const [, sheet] of SHELL.matchAll(/href="\.\/ui\/([^"]+)"/g)) expect(paths).toContain(sheet!);
  });

  test(`are less than ${COMPRESSED_MAX} bytes together, compressed`, () => {
    const sizes = page.assets.paths.map((path) => page.assets.get(path)!.gzip.length);
    const total = sizes.reduce((sum, size) => sum + size, gzipSync(SHELL).length);
    expect(total).toBeLessThan(COMPRESSED_MAX);
    expect(gunzipSync(page.assets.get('main.js')!.gzip).equals(page.assets.get('main.js')!.body)).toBe(true);
    process.stdout.write(`the page: ${page.assets.paths.length} files, ${total} bytes compressed\n`);
  });
});
