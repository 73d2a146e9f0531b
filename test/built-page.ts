// The browser page as `make build` compiles it, in a directory that goes with the test.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Assets, pageAssets } from '../server/ui/assets.ts';

const root = resolve(import.meta.dirname, '..');

export interface BuiltPage {
  readonly assets: Assets;
  remove(): void;
}

/** Takes about a second; throws what the compiler says. */
export function buildPage(): BuiltPage {
  const directory = mkdtempSync(join(tmpdir(), 'sparklane-page-'));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const project = join(root, 'server/ui/page/tsconfig.json');
  const places = ['--outDir', directory, '--tsBuildInfoFile', join(directory, '.tsbuildinfo')];
  execFileSync(process.execPath, [tsc, '-p', project, ...places]);
  const assets = pageAssets({
    modules: join(directory, 'server/ui/page'),
    styles: join(root, 'server/ui/page'),
  });
  if (assets === null) throw new Error('the compiler wrote no page');
  return { assets, remove: () => rmSync(directory, { recursive: true }) };
}
