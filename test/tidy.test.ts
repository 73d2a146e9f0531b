// The tree's own rules: who may import whom, which globals are injected instead, how long a file may be.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const layers = ['models', 'kernels', 'server', 'loadtest'] as const;

interface Source {
  readonly path: string; // from the root, with forward slashes
  readonly text: string;
  readonly code: string; // without comments
}

const sources = layers.flatMap((layer) => readSources(layer));
const tests = readSources('test');
const docs = [
  ...readdirSync(root),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => `docs/${name}`),
].filter((name) => name.endsWith('.md'));

/** For each layer, what it may import beside itself: folders or files of ours, and packages. */
const importTable: readonly Rule[] = [
  { where: 'models/', ours: [], packages: ['@huggingface/', '@bufbuild/', 'zod'] },
  {
    where: 'kernels/onnx/',
    ours: ['kernels/', 'models/'],
    packages: ['piscina', 'onnxruntime-node', 'koffi'],
  },
  { where: 'kernels/', ours: ['models/'], packages: [] },
  {
    where: 'server/engine/',
    ours: ['kernels/backend.ts', 'kernels/clock.ts', 'kernels/random.ts', 'models/spec.ts'],
    packages: ['node:assert/strict'],
  },
  {
    where: 'server/uws-binary.ts',
    ours: [],
    packages: ['uWebSockets.js', '@btc-vision/uwebsockets.js'],
  },
  {
    where: 'server/upstream/undici-wire.ts',
    ours: ['server/'],
    packages: ['undici'],
  },
  // Fetches models; knows no server.
  { where: 'server/hub/undici-fetch.ts', ours: ['server/hub/'], packages: ['undici'] },
  {
    where: 'server/hub/',
    ours: ['server/package-version.ts', 'kernels/clock.ts', 'models/hub-cache.ts'],
    packages: ['zod'],
  },
  {
    where: 'server/outcomes/',
    ours: ['server/', 'kernels/', 'models/'],
    packages: [...serverPackages(), 'libsql', 'diff'],
  },
  // The composition root, which mounts the clients' commands.
  { where: 'server/main.ts', ours: ['server/', 'kernels/', 'models/', 'loadtest/'], packages: [] },
  { where: 'server/', ours: ['kernels/', 'models/'], packages: serverPackages() },
  { where: 'loadtest/target/', ours: ['loadtest/', 'server/', 'kernels/', 'models/'], packages: null },
  { where: 'loadtest/', ours: ['server/', 'kernels/', 'models/'], packages: null },
];

interface Rule {
  readonly where: string;
  readonly ours: readonly string[];
  readonly packages: readonly string[] | null; // null: any but the fenced ones below
}

/** Packages that only one place may know. */
const fenced: Readonly<Record<string, string>> = {
  'uWebSockets.js': 'server/uws-binary.ts',
  '@btc-vision/uwebsockets.js': 'server/uws-binary.ts',
  piscina: 'kernels/onnx/',
  'onnxruntime-node': 'kernels/onnx/',
  koffi: 'kernels/onnx/',
  libsql: 'server/outcomes/',
};

/** Globals that are injected, and the files that inject them. */
const banned: readonly { readonly pattern: RegExp; readonly allowed: readonly string[] }[] = [
  { pattern: /\bMath\.random\b/, allowed: [] },
  { pattern: /\bDate\.now\b|\bnew Date\(\)/, allowed: ['main.ts'] },
  { pattern: /\bperformance\.now\b/, allowed: ['main.ts', 'kernels/clock.ts', 'kernels/onnx/worker.ts'] },
  { pattern: /\b(setTimeout|setInterval|setImmediate)\(/, allowed: ['main.ts', 'kernels/clock.ts'] },
  { pattern: /\bprocess\.(?!platform|arch|versions)/, allowed: ['main.ts', 'kernels/onnx/worker.ts'] },
  { pattern: /\bconsole\./, allowed: ['main.ts'] },
];

test('the rules see the tree', () => {
  expect(sources.length).toBeGreaterThan(40);
  for (const layer of layers) expect(sources.some(({ path }) => path.startsWith(`${layer}/`))).toBe(true);
});

test('every import is in the import table', () => {
  const faults: string[] = [];
  for (const { path, code } of sources) {
    const rule = importTable.find(({ where }) => path.startsWith(where))!;
    for (const name of importsOf(code)) {
      if (!isAllowed(path, name, rule)) faults.push(`${path} imports ${name}`);
    }
  }
  expect(faults).toEqual([]);
});

test('time, chance, the process and the console come in through constructors', () => {
  const faults: string[] = [];
  for (const { path, code } of sources) {
    for (const { pattern, allowed } of banned) {
      const found = pattern.exec(code);
      if (found && !allowed.some((name) => path.endsWith(name))) faults.push(`${path}: ${found[0]}`);
    }
  }
  expect(faults).toEqual([]);
});

test('no file is longer than 400 lines', () => {
  const long = [...sources, ...tests].filter(({ text }) => text.split('\n').length > 400);
  expect(long.map(({ path }) => path)).toEqual([]);
});

test('only the files that choose a device know that some are simulated', () => {
  const choosing = ['admin', 'current-device', 'device', 'main', 'options'].map(
    (name) => `server/${name}.ts`,
  );
  const telling = sources
    .filter(
      ({ path, code }) => path.startsWith('server/') && /simulat|kernels\/sim|simModel|wafer/i.test(code),
    )
    .map(({ path }) => path);
  expect(telling.filter((path) => !choosing.includes(path))).toEqual([]);
  expect(telling).toContain('server/device.ts');
});

test('a source file opens with a comment that says what it is for', () => {
  const bare = sources.filter(({ text }) => !/^(#!.*\n)?\/[/*]/.test(text));
  expect(bare.map(({ path }) => path)).toEqual([]);
});

test('file names are kebab-case nouns', () => {
  const odd = [...sources, ...tests]
    .map(({ path }) => path)
    .filter((path) => {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const isKebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|bench|d))?\.ts$/.test(name);
      return !isKebab || /^(index|types|utils?|helpers?|manager)\.ts$/.test(name);
    });
  expect(odd).toEqual([]);
});

test('no task is left behind without the number of its issue', () => {
  const faults = sources.filter(({ text }) => /\b(TODO|FIXME|XXX)\b(?!\(#\d+\))/.test(text));
  expect(faults.map(({ path }) => path)).toEqual([]);
});

test('documents name only files that exist', () => {
  const faults: string[] = [];
  for (const doc of docs) {
    const text = readFileSync(join(root, doc), 'utf8');
    for (const [, named] of text.matchAll(
      /`((?:models|kernels|server|loadtest|test)\/[\w./-]+\.(?:ts|md|json))`/g,
    )) {
      if (!exists(named!)) faults.push(`${doc}: ${named}`);
    }
  }
  expect(faults).toEqual([]);
});

function readSources(folder: string): Source[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes('node_modules'))
    .map((file) => {
      const text = readFileSync(file, 'utf8');
      return { path: relative(root, file).replaceAll('\\', '/'), text, code: withoutComments(text) };
    });
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

function importsOf(code: string): string[] {
  const statement = /^(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]/gm;
  const bare = /^import\s*['"]([^'"]+)['"]/gm;
  const dynamic = /\bimport\(\s*['"]([^'"]+)['"]/g;
  return [statement, bare, dynamic].flatMap((pattern) =>
    Array.from(code.matchAll(pattern), ([, name]) => name!),
  );
}

function isAllowed(path: string, name: string, rule: Rule): boolean {
  if (name.startsWith('.')) {
    const target = relative(root, resolve(root, dirname(path), name)).replaceAll('\\', '/');
    return (
      target.startsWith(rule.where.replace(/[^/]*$/, '')) || rule.ours.some((ours) => target.startsWith(ours))
    );
  }
  const fence = Object.entries(fenced).find(
    ([fencedName]) => name === fencedName || name.startsWith(`${fencedName}/`),
  );
  if (fence) return path.startsWith(fence[1]);
  if (rule.where === 'server/engine/') return rule.packages!.includes(name);
  if (name.startsWith('node:') || rule.packages === null) return true;
  return rule.packages.some(
    (known) => name === known || name.startsWith(known.endsWith('/') ? known : `${known}/`),
  );
}

function serverPackages(): string[] {
  return ['msgpackr', 'prom-client', 'zod', 'pino', 'commander', 'cli-progress', 'ws', 'eventsource-parser'];
}

function exists(path: string): boolean {
  try {
    readFileSync(join(root, path));
    return true;
  } catch {
    return false;
  }
}
