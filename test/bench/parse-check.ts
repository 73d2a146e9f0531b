// Which texts the compiler's parser refuses: for what models write. Errors TS1xxx are the parser's.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SourceText {
  readonly text: string;
  readonly extension: 'ts' | 'tsx';
}

const compiler = join(import.meta.dirname, '../../node_modules/typescript/bin/tsc');
const flags = [
  '--noEmit',
  '--noCheck',
  '--noResolve',
  '--skipLibCheck',
  '--ignoreConfig',
  '--pretty',
  'false',
];

/** Indexes of the sources that do not parse. */
export function unparsed(sources: readonly SourceText[]): ReadonlySet<number> {
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-parse-'));
  try {
    const names = sources.map(({ text, extension }, i) => {
      const name = join(directory, `case-${i}.${extension}`);
      writeFileSync(name, text);
      return name;
    });
    const said = spawnSync(
      'node',
      [compiler, ...flags, '--target', 'esnext', '--jsx', 'preserve', ...names],
      {
        encoding: 'utf8',
      },
    );
    const bad = [...said.stdout.matchAll(/case-(\d+)\.tsx?\(\d+,\d+\): error TS1\d{3}:/g)];
    const other = said.stdout
      .split('\n')
      .filter((line) => line.includes('error') && !/case-\d+\.tsx?/.test(line));
    if (said.error || other.length > 0) throw new Error(`the compiler refused: ${said.error ?? other[0]}`);
    return new Set(bad.map(([, i]) => Number(i)));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
