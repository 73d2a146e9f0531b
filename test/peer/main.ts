// `make bench-peer`: this engine and llama.cpp on the same cores and weights, in one run; ratios with intervals, and the
// gate against committed ratios. By hand only. `ARGS="--only nano/8bit"` plays cells whose names begin so, `--blocks 2` makes
// each of them shorter, as `--seconds 60` does, `--bless` commits ratios.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { argv, exit } from 'node:process';
import { type Cell, type CellResult, playCell } from './contest.ts';
import { blessed, type CommittedRatios, judge } from './gate.ts';
import { groups, openGroup } from './program.ts';
import { openServerGroup, serverGroups } from './server-groups.ts';

const ratiosPath = join(import.meta.dirname, 'ratios.json');
const resultsFolder = join(import.meta.dirname, '../../bench-results');
const resultsPath = join(resultsFolder, 'peer.json');
const machine = `${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}`;

const only = argv.includes('--only') ? argv[argv.indexOf('--only') + 1]!.split(',') : null;
const blocksMax = countOf('--blocks', 100);
const secondsMax = countOf('--seconds', 600);
const isWanted = (name: string) => only === null || only.some((wish) => name.startsWith(wish));
const all = [
  ...groups.map((group) => ({ name: group.name, open: () => openGroup(group) })),
  ...serverGroups.map((group) => ({ name: group.name, open: () => openServerGroup(group) })),
];
const chosen = all.filter(({ name }) => isWanted(name) || only!.some((wish) => wish.startsWith(`${name} `)));
if (chosen.length === 0) {
  console.log(`no group starts with ${only}; there are ${all.map(({ name }) => name).join(', ')}`);
  exit(2);
}
console.log(machine);
const results: Record<string, CellResult> = {};
for (const group of chosen) {
  const open = await group.open();
  console.log(`\n${group.name}`);
  for (const [name, about] of Object.entries(open.about)) console.log(`  ${name}: ${about}`);
  for (const reason of open.skipped) console.log(`  skipped: ${reason}`);
  try {
    for (const cell of open.cells.filter(({ name }) => isWanted(name))) {
      results[cell.name] = await playCell({
        ...cell,
        blocks: Math.min(cell.blocks, blocksMax),
        secondsMax: Math.min(cell.secondsMax, secondsMax),
      });
      printCell(cell, results[cell.name]!);
    }
  } finally {
    await open.close();
  }
}
const committed = JSON.parse(readFileSync(ratiosPath, 'utf8')) as CommittedRatios;
keepResults();
if (argv.includes('--bless')) {
  writeFileSync(ratiosPath, `${JSON.stringify(blessed(committed, results, machine), null, 2)}\n`);
  console.log(`\n${ratiosPath} has the ratios of this run`);
} else if (!printVerdicts()) exit(1);

function countOf(flag: string, fallback: number): number {
  if (!argv.includes(flag)) return fallback;
  const count = Number(argv[argv.indexOf(flag) + 1]);
  if (Number.isInteger(count) && count >= 1) return count;
  console.log(`${flag} takes a whole number of at least 1`);
  exit(2);
}

function printCell({ name, arms }: Cell, { arms: times, against }: CellResult): void {
  const legCount = times[arms[0]!.name]!.ms.length;
  console.log(`\n${name} (${legCount / 2} blocks of two)`);
  for (const { name: arm } of arms) {
    const { ms, tokens, accepted, rejected, processorMs = [] } = times[arm]!;
    const median = ms.toSorted((a, b) => a - b)[ms.length >> 1]!;
    const comparison = against[arm];
    const ratio = comparison === undefined ? '' : `  ours is ${shown(comparison)} times as fast`;
    const drafts = accepted + rejected === 0 ? '' : `  ${accepted} of ${accepted + rejected} drafts right`;
    const processor =
      processorMs.length === 0
        ? ''
        : `, ${(processorMs.reduce((sum, each) => sum + each, 0) / tokens).toPrecision(3)} ms of processor a token`;
    const size = tokens === 0 ? '' : `, ${Math.round(tokens / ms.length)} tokens a leg`;
    console.log(`  ${arm.padEnd(36)} ${median.toPrecision(4)} ms median${size}${processor}${ratio}${drafts}`);
  }
}

function shown({ speedup, interval }: CellResult['against'][string]): string {
  const range = interval === null ? 'one block' : `${interval.low.toFixed(2)} to ${interval.high.toFixed(2)}`;
  return `${speedup.toFixed(2)} (${range})`;
}

/** Results of groups that were not played this time stay. */
function keepResults(): void {
  mkdirSync(resultsFolder, { recursive: true });
  const before = existsSync(resultsPath) ? JSON.parse(readFileSync(resultsPath, 'utf8')) : {};
  writeFileSync(resultsPath, JSON.stringify({ ...before, ...results }, null, 1));
}

function printVerdicts(): boolean {
  const verdicts = judge(results, committed);
  const failed = verdicts.filter(({ passes }) => !passes);
  console.log(
    `\nagainst the committed ratios (${committed.machine}), ${committed.tolerance * 100} % may be lost:`,
  );
  for (const { cell, against, measured, committed: expected } of failed) {
    console.log(`  FAIL ${cell}, ${against}: ${shown(measured)}, committed ${expected}`);
  }
  const news = verdicts.filter(({ committed: expected }) => expected === null).length;
  console.log(`  ${verdicts.length - failed.length - news} pass, ${failed.length} fail, ${news} are new`);
  return failed.length === 0;
}
