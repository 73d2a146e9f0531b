// What documents claim about the tree: links and headings, files, targets of make, commands with their flags, JSON.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { VirtualClock } from '../kernels/clock.ts';
import { addCommands, type CommandsIo } from '../loadtest/commands.ts';
import { type Mount, runProgram } from '../server/cli/program.ts';
import { MemoryTerminal } from './memory-terminal.ts';

const root = resolve(import.meta.dirname, '..');
const SKIPPED = new Set(['node_modules', 'dist', '.git', 'bench-results']);

interface Document {
  readonly path: string; // from the root
  readonly text: string;
  readonly prose: string; // without fenced blocks
  readonly blocks: readonly Block[];
}

interface Block {
  readonly language: string;
  readonly code: string;
}

const documents = markdownBelow(root).map((file): Document => {
  const text = readFileSync(file, 'utf8');
  const blocks: Block[] = [];
  const prose = text.replace(/^```(\w*)\n([\s\S]*?)^```$/gm, (_, language: string, code: string) => {
    blocks.push({ language, code });
    return '';
  });
  return { path: relative(root, file).replaceAll('\\', '/'), text, prose, blocks };
});

test('the rules see the documents', () => {
  expect(documents.length).toBeGreaterThan(30);
  expect(documents.flatMap(({ blocks }) => blocks).length).toBeGreaterThan(60);
});

test('every link leads to a file, and to a heading of it', () => {
  const faults: string[] = [];
  for (const { path, prose } of documents) {
    for (const [, target] of prose.matchAll(/\]\(([^()\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [file, anchor] = target!.split('#') as [string, string | undefined];
      const place = file === '' ? path : relative(root, resolve(root, dirname(path), file));
      if (!existsSync(join(root, place))) faults.push(`${path}: ${target} is not there`);
      else if (anchor !== undefined && !anchorsOf(place).has(anchor))
        faults.push(`${path}: ${target} has no such heading`);
    }
  }
  expect(faults).toEqual([]);
});

test('documents are as short as they promise', () => {
  const lines = (path: string) =>
    documents.find((document) => document.path === path)!.text.split('\n').length;
  expect(lines('README.md')).toBeLessThan(120); // three screens of forty lines
  expect(lines('PERFORMANCE.md')).toBeLessThan(180); // about 150: what is longer belongs into docs/lab
  expect(lines('PROTOCOL.md')).toBeLessThan(60);
});

test('JSON in documents is JSON', () => {
  const faults: string[] = [];
  for (const { path, blocks } of documents) {
    for (const { language, code } of blocks) {
      if (language !== 'json') continue;
      try {
        JSON.parse(code);
      } catch (error) {
        faults.push(`${path}: ${(error as Error).message}\n${code}`);
      }
    }
  }
  expect(faults).toEqual([]);
});

test('targets of make and files that commands name are there', () => {
  const makefile = readFileSync(join(root, 'Makefile'), 'utf8');
  const targets = new Set(Array.from(makefile.matchAll(/^([a-z][a-z-]*):/gm), ([, name]) => name!));
  const faults: string[] = [];
  for (const { path, text } of documents) {
    for (const [, target] of text.matchAll(/(?:^|`|\$ )make ([a-z][a-z-]*)/gm)) {
      if (!targets.has(target!)) faults.push(`${path}: make ${target}`);
    }
    for (const [, file] of text.matchAll(/npx (?:tsx|vitest run)\s+([\w./-]+)/g)) {
      if (!existsSync(join(root, file!))) faults.push(`${path}: ${file}`);
    }
  }
  const workflow = readFileSync(join(root, '.github/workflows/ci.yml'), 'utf8');
  for (const [, target] of workflow.matchAll(/run: make ([a-z-]+)/g)) {
    if (!targets.has(target!)) faults.push(`ci.yml: make ${target}`);
  }
  expect(targets.size).toBeGreaterThan(15);
  expect(faults).toEqual([]);
});

test('commands of sparklane in documents exist, with every flag that they are given', async () => {
  const faults: string[] = [];
  const known = new Map<string, ReadonlySet<string>>();
  let count = 0;
  for (const { path, blocks } of documents) {
    for (const line of blocks.filter(({ language }) => language === 'sh').flatMap(commandLines)) {
      const called = /(?:^|\| |npx |&& )sparklane ([a-z-]+)((?: [^|&#]*)?)/.exec(line);
      const served = /^make serve.*ARGS="([^"]*)"/.exec(line);
      const [command, rest] = called ? [called[1]!, called[2]!] : served ? ['serve', served[1]!] : [null, ''];
      if (command === null) continue;
      count++;
      if (!known.has(command)) known.set(command, await flagsOf(command));
      for (const [, flag] of rest.matchAll(/(?:^|\s)(--[a-z-]+)/g)) {
        if (!known.get(command)!.has(flag!)) faults.push(`${path}: sparklane ${command} ${flag}`);
      }
    }
  }
  expect(count).toBeGreaterThan(20);
  expect(faults).toEqual([]);
});

/** Lines of a block, those that end with a backslash joined with what follows. */
function commandLines({ code }: Block): string[] {
  return code.replace(/\\\n\s*/g, ' ').split('\n');
}

/** Every long flag in the help of a command and of its own commands; throws for one that is not known. */
async function flagsOf(command: string): Promise<ReadonlySet<string>> {
  const terminal = new MemoryTerminal();
  const host = { terminal, env: {}, clock: new VirtualClock(), epochMs: () => 0 };
  const code = await runProgram([command, '--help'], host, async () => mounts(terminal));
  expect(code, `sparklane ${command} --help: ${terminal.notes}`).toBe(0);
  expect(terminal.written).toContain(`Usage: sparklane ${command}`); // else it is the program's own help
  return new Set(Array.from(terminal.written.matchAll(/--[a-z][a-z-]*/g), ([flag]) => flag));
}

function mounts(terminal: MemoryTerminal): readonly Mount[] {
  const io = {
    write: terminal.write,
    note: terminal.note,
    epochMs: () => 0,
    env: {},
    programLine: 'sparklane',
  };
  // Only their help is asked for: what they would run with is never reached.
  return [(program) => addCommands(program, io as unknown as CommandsIo)];
}

const anchors = new Map<string, ReadonlySet<string>>();

/** Names of the headings of a document as GitHub makes them: lower case, no punctuation, hyphens, numbered where repeated. */
function anchorsOf(path: string): ReadonlySet<string> {
  const known = anchors.get(path);
  if (known) return known;
  const names = new Set<string>();
  const { prose } = documents.find((document) => document.path === path) ?? { prose: '' };
  for (const [, heading] of prose.matchAll(/^#+ (.*)$/gm)) {
    const name = heading!
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    let unique = name;
    for (let i = 1; names.has(unique); i++) unique = `${name}-${i}`;
    names.add(unique);
  }
  anchors.set(path, names);
  return names;
}

function markdownBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (SKIPPED.has(name)) return [];
    if (statSync(path).isDirectory()) return markdownBelow(path);
    return name.endsWith('.md') ? [path] : [];
  });
}
