// The files of the page: a table of what may be asked for and where it lies, read once, compressed once. Nothing that is not
// in the table is ever read, so no name that a caller makes up reaches the disk. Before it: routes.ts; after it: the disk.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

export interface Asset {
  readonly type: string;
  readonly body: Uint8Array;
  readonly gzip: Uint8Array;
  readonly etag: string;
}

/** Where an asset comes from: a file of ours or of a package, and what is added so that it is a module. */
interface AssetSource {
  readonly file: string;
  readonly type: string;
  readonly suffix?: string;
}

/** Packages that the page imports: by the name it imports them under, the file of the package, and its address under ui/. */
const LIBRARIES = [
  { name: 'preact', file: 'preact/dist/preact.mjs', path: 'lib/preact.js' },
  { name: 'preact/hooks', file: 'preact/hooks/dist/hooks.mjs', path: 'lib/preact-hooks.js' },
  {
    name: 'preact/jsx-runtime',
    file: 'preact/jsx-runtime/dist/jsxRuntime.mjs',
    path: 'lib/preact-jsx-runtime.js',
  },
  { name: 'marked', file: 'marked/lib/marked.esm.js', path: 'lib/marked.js' },
  { name: 'eventsource-parser', file: 'eventsource-parser/dist/index.js', path: 'lib/eventsource-parser.js' },
  { name: 'diff/lib/diff/line.js', file: 'diff/libesm/diff/line.js', path: 'lib/diff/diff/line.js' },
  { name: null, file: 'diff/libesm/diff/base.js', path: 'lib/diff/diff/base.js' },
  { name: null, file: 'diff/libesm/util/params.js', path: 'lib/diff/util/params.js' },
  // Its minified file is a script; one line makes it the module that its package has only at full length.
  {
    name: 'uplot',
    file: 'uplot/dist/uPlot.iife.min.js',
    path: 'lib/uplot.js',
    suffix: '\nexport default uPlot;\n',
  },
] as const;

const STYLE_SHEETS = [{ file: 'uplot/dist/uPlot.min.css', path: 'lib/uplot.css' }] as const;

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';
const GZIP_LEVEL = 9; // once per file and process

/** What the page's modules mean by the names of packages; addresses are relative to the page. */
export const IMPORT_MAP = JSON.stringify({
  imports: Object.fromEntries(
    LIBRARIES.flatMap(({ name, path }) => (name === null ? [] : [[name, `./ui/${path}`]])),
  ),
});

export class Assets {
  readonly #sources: ReadonlyMap<string, AssetSource>;
  readonly #assets = new Map<string, Asset>(); // bounded by the table

  constructor(sources: ReadonlyMap<string, AssetSource>) {
    this.#sources = sources;
  }

  get paths(): readonly string[] {
    return [...this.#sources.keys()];
  }

  /** `path` below ui/; null for what is not in the table. Throws if a file of the table cannot be read. */
  get(path: string): Asset | null {
    const source = this.#sources.get(path);
    if (source === undefined) return null;
    const known = this.#assets.get(path);
    if (known !== undefined) return known;
    const asset = readAsset(source);
    this.#assets.set(path, asset);
    return asset;
  }
}

/** The page as it was compiled, to `modules`; null where it was not (a checkout that nobody has built). */
export function pageAssets({ modules, styles } = pageDirectories()): Assets | null {
  if (!existsSync(join(modules, 'main.js'))) return null;
  const sources = new Map<string, AssetSource>();
  for (const name of readdirSync(modules)) {
    if (name.endsWith('.js')) sources.set(name, { file: join(modules, name), type: SCRIPT });
  }
  for (const name of readdirSync(styles)) {
    if (name.endsWith('.css')) sources.set(name, { file: join(styles, name), type: STYLE });
  }
  for (const { path, file, ...rest } of LIBRARIES) {
    sources.set(path, { file: packageFile(file), type: SCRIPT, ...rest });
  }
  for (const { path, file } of STYLE_SHEETS) sources.set(path, { file: packageFile(file), type: STYLE });
  return new Assets(sources);
}

/** Of the repository or the package: this file is `server/ui/assets.ts` below it, or `dist/server/ui/assets.js`. */
export function packageRoot(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  return join(here, import.meta.url.endsWith('.js') ? '../../..' : '../..');
}

/** Modules are only ever in dist. */
function pageDirectories(): { readonly modules: string; readonly styles: string } {
  const root = packageRoot();
  return { modules: join(root, 'dist/server/ui/page'), styles: join(root, 'server/ui/page') };
}

/** Packages do not export every file they have: from where Node finds them, not through their exports. */
function packageFile(file: string): string {
  const require = createRequire(import.meta.url);
  for (const directory of require.resolve.paths(file) ?? []) {
    const path = join(directory, file);
    if (existsSync(path)) return path;
  }
  throw new Error(`${file} is not installed`);
}

function readAsset({ file, type, suffix = '' }: AssetSource): Asset {
  const text = readFileSync(file, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n') + suffix;
  const body = Buffer.from(text);
  const gzip = gzipSync(body, { level: GZIP_LEVEL });
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { type, body, gzip, etag };
}
