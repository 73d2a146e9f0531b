// The tree's own rules: who may import whom (rooms.ts), which globals are injected instead, how long a file may be.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { fenced, importTable, PROGRAM, placeOf, type Rule, rooms } from './rooms.ts';

const root = resolve(import.meta.dirname, '..');
const layers = ['models', 'kernels', 'server', 'loadtest'] as const;

interface Source {
  readonly path: string; // from the root, with forward slashes
  readonly text: string;
  readonly code: string; // without comments
}

const sources = [...layers.flatMap((layer) => readSources(layer)), readSource(join(root, PROGRAM))];
const tests = readSources('test');
const docs = [
  ...readdirSync(root),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => `docs/${name}`),
].filter((name) => name.endsWith('.md'));

/** Globals that are injected, and the files that inject them. */
const banned: readonly { readonly pattern: RegExp; readonly allowed: readonly string[] }[] = [
  { pattern: /\bMath\.random\b/, allowed: [] },
  { pattern: /\bDate\.now\b|\bnew Date\(\)/, allowed: ['main.ts'] },
  {
    pattern: /\bperformance\.now\b/,
    allowed: ['main.ts', 'page/main.tsx', 'kernels/clock.ts', 'kernels/onnx/worker.ts'],
  },
  {
    pattern: /\b(setTimeout|setInterval|setImmediate)\(/,
    allowed: ['main.ts', 'page/main.tsx', 'kernels/clock.ts'],
  },
  {
    pattern: /\bprocess\.(?!platform|arch|versions)/,
    allowed: ['main.ts', PROGRAM, 'kernels/onnx/worker.ts'],
  },
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

test('no test has less time than all have: a bound on what hangs is no measure', () => {
  const least = Number(
    /testTimeout: ([\d_]+)/
      .exec(readFileSync(join(root, 'vitest.config.ts'), 'utf8'))![1]!
      .replaceAll('_', ''),
  );
  const faults: string[] = [];
  for (const { path, code } of tests) {
    if (!path.endsWith('.test.ts') || path.startsWith('test/clients/')) continue; // those have a configuration of their own
    for (const [, options, last] of code.matchAll(/\btimeout: ([\d_]+)|(?:^\s*\}|\w), (\d+_[\d_]+)\);$/gm)) {
      if (Number((options ?? last)!.replaceAll('_', '')) < least)
        faults.push(`${path}: ${options ?? last} ms`);
    }
  }
  expect(faults).toEqual([]);
});

test('no file is longer than 400 lines', () => {
  const long = [...sources, ...tests].filter(({ text }) => text.split('\n').length > 400);
  expect(long.map(({ path }) => path)).toEqual([]);
});

// One word, one thing: who reads a name knows what it is. The client is published for Node and for browsers, with one name.
const namedTwice = ['connect'];

test('no two files export the same name', () => {
  const files = new Map<string, string[]>();
  for (const { path, code } of sources) {
    const exported = code.matchAll(
      /^export (?:abstract )?(?:async )?(?:class|interface|type|const|function) (\w+)/gm,
    );
    for (const [, name] of exported) files.set(name!, [...(files.get(name!) ?? []), path]);
  }
  const faults = [...files].filter(([name, paths]) => new Set(paths).size > 1 && !namedTwice.includes(name));
  expect(faults).toEqual([]);
});

const roomed = Object.entries(rooms).map(([layer, ordered]) => ({
  layer,
  names: ordered.map(({ room }) => room),
  places: ordered.map(({ room }) => placeOf(layer, room)),
}));

test.each(roomed)('every file of $layer/ is in a room, and every room has files', ({ layer, places }) => {
  const paths = sources.map(({ path }) => path).filter((path) => path.startsWith(`${layer}/`));
  const homeless = paths.filter((path) => !places.some((place) => path.startsWith(place)));
  expect(homeless).toEqual([]);
  const empty = places.filter((place) => !paths.some((path) => path.startsWith(place)));
  expect(empty).toEqual([]);
});

test.each(roomed)('ARCHITECTURE.md tells the rooms of $layer/ in their order', ({ layer, names }) => {
  const head = `| | rooms of \`${layer}/\` | |`;
  const [, table] = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8').split(head);
  const rows = table!
    .slice(0, table!.indexOf('\n\n'))
    .split('\n')
    .map((row) => row.split('|')[2] ?? '');
  const told = rows.flatMap((row) => Array.from(row.matchAll(/`([\w.-]+)`/g), ([, name]) => name!));
  expect(told).toEqual(names);
});

test('no file imports itself by way of others', () => {
  expect(circlesOf((path) => path)).toEqual([]);
});

test('no folder does, a file beside folders counted as one', () => {
  const folders = new Set(sources.map(({ path }) => dirname(path)));
  const hasFolders = (folder: string) => [...folders].some((other) => other.startsWith(`${folder}/`));
  const roomOf = (path: string) => (hasFolders(dirname(path)) ? path : dirname(path));
  expect(roomOf('models/graph/decoder.ts')).toBe('models/graph');
  expect(roomOf('models/spec.ts')).toBe('models/spec.ts');
  expect(circlesOf(roomOf)).toEqual([]);
});

test("a comment names only files that are there, a file's header only those near it", () => {
  const neighbours = new Map<string, Set<string>>(sources.map(({ path }) => [path, new Set()]));
  for (const { path, code } of sources) {
    for (const name of importsOf(code)) {
      neighbours.get(path)!.add(targetOf(path, name));
      neighbours.get(targetOf(path, name))?.add(path);
    }
  }
  const isNear = (path: string, other: string) =>
    path === other ||
    [...neighbours.get(path)!].some((next) => next === other || neighbours.get(next)?.has(other));
  const faults: string[] = [];
  for (const { path, text } of sources) {
    const header = /^(?:#!.*\n)?((?:\/\/.*\n)+)/.exec(text)?.[1] ?? '';
    for (const named of new Set(filesNamed(commentsOf(text)))) {
      const layer = path.slice(0, path.indexOf('/'));
      const places = [`${dirname(path)}/${named}`, `${layer}/${named}`, named];
      const there = places.find((place) => exists(place));
      if (there === undefined) faults.push(`${path}: ${named} is not there`);
      else if (filesNamed(header).includes(named) && neighbours.has(there) && !isNear(path, there))
        faults.push(`${path}: ${named} is more than two imports away`);
    }
  }
  expect(faults).toEqual([]);
});

test('an exported name means one thing: it stands in one file', () => {
  const files = new Map<string, string[]>();
  // The page is a program of its own, the load tester another one; the client for browsers is the one for Node there.
  for (const { path, code } of sources.filter(
    ({ path }) => !/^(loadtest|server\/ui\/page)\/|\/published-browser\.ts$/.test(path),
  )) {
    const exported = /^export (?:async )?(?:class|interface|type|function|const) (\w+)/gm;
    const names = new Set(Array.from(code.matchAll(exported), ([, name]) => name!));
    for (const name of names) files.set(name, [...(files.get(name) ?? []), path]);
  }
  const twice = [...files].filter(([, paths]) => paths.length > 1);
  expect(twice.map(([name, paths]) => `${name}: ${paths.join(', ')}`)).toEqual([]);
});

test('only the files that choose a device know that some are simulated', () => {
  const choosing = /^server\/((device\/.*|config\/options|main)\.ts$|ui\/page\/)/; // people are told
  const telling = sources
    .filter(
      ({ path, code }) => path.startsWith('server/') && /simulat|kernels\/sim|simModel|wafer/i.test(code),
    )
    .map(({ path }) => path);
  expect(telling.filter((path) => !choosing.test(path))).toEqual([]);
  expect(telling).toContain('server/device/device.ts');
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
      const isKebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|bench|d))?\.tsx?$/.test(name);
      return !isKebab || /^(index|types|utils?|helpers?|manager)\.tsx?$/.test(name);
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

/** Ways of imports from a room back to itself, where rooms are what `roomOf` makes of files. */
function circlesOf(roomOf: (path: string) => string): string[] {
  const importsByRoom = new Map<string, Set<string>>();
  for (const { path, code } of sources) {
    const room = roomOf(path);
    const imported = importsByRoom.get(room) ?? new Set();
    for (const name of importsOf(code).filter((one) => one.startsWith('.'))) {
      const other = roomOf(targetOf(path, name));
      if (other !== room || targetOf(path, name) === path) imported.add(other);
    }
    importsByRoom.set(room, imported);
  }
  const known = new Set<string>(); // imports nothing that leads back to it
  const circles: string[] = [];
  const walk = (room: string, way: readonly string[]): void => {
    if (known.has(room) || !importsByRoom.has(room)) return;
    const start = way.indexOf(room);
    if (start >= 0) {
      circles.push([...way.slice(start), room].join(' → '));
      return;
    }
    for (const next of importsByRoom.get(room)!) walk(next, [...way, room]);
    known.add(room);
  };
  for (const room of importsByRoom.keys()) walk(room, []);
  return circles;
}

function readSources(folder: string): Source[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes('node_modules'))
    .map(readSource);
}

function readSource(file: string): Source {
  const text = readFileSync(file, 'utf8');
  return { path: relative(root, file).replaceAll('\\', '/'), text, code: withoutComments(text) };
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

function commentsOf(text: string): string {
  return (text.match(/^\s*(?:\/\/|\/\*\*|\*).*$|(?<=[;,{]) \/\/.*$/gm) ?? []).join('\n');
}

/** Such as `form.ts`, `chat/form.ts`, `server/chat/form.ts`. */
function filesNamed(comment: string): string[] {
  return Array.from(
    comment.matchAll(/(?<![\w./*<-])((?:[\w-]+\/)*[\w-]+\.tsx?)(?!\w)/g),
    ([, name]) => name!,
  );
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
    const target = targetOf(path, name);
    return [rule.where, ...rule.ours].some((place) => target.startsWith(place));
  }
  const fence = Object.entries(fenced).find(
    ([fencedName]) => name === fencedName || name.startsWith(`${fencedName}/`),
  );
  if (fence) return fence[1].some((place) => path.startsWith(place));
  if (rule.where === 'server/engine/') return rule.packages!.includes(name);
  if (name.startsWith('node:') || rule.packages === null) return true;
  return rule.packages.some(
    (known) => name === known || name.startsWith(known.endsWith('/') ? known : `${known}/`),
  );
}

/** Of a relative import: the file, from the root. */
function targetOf(path: string, name: string): string {
  return relative(root, resolve(root, dirname(path), name)).replaceAll('\\', '/');
}

function exists(path: string): boolean {
  try {
    readFileSync(join(root, path));
    return true;
  } catch {
    return false;
  }
}
