// The commands about recorded tasks for commander: report and whatif. A thin layer: reads flags and files, calls the
// functions of this folder, prints or writes. Mounted by the composition root of the `sparklane` program.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { jsonFile } from '../../server/base/json-text.ts';
import { packageVersion } from '../../server/base/package-version.ts';
import { addConfigFlags, configFlags } from '../../server/cli/flags.ts';
import { loadConfig, outcomesPath } from '../../server/config/config.ts';
import { readLanes } from '../../server/lanes/open-lanes.ts';
import { type Policy, PolicyError, parsePolicy } from '../../server/lanes/policy.ts';
import { exportOf } from '../../server/outcomes/wire.ts';
import { FlagError } from '../base/flag-error.ts';
import { csvFiles } from './csv.ts';
import { outcomesPage } from './page.ts';
import { readSource, type TaskSource } from './source.ts';
import { reportTable, taskFormulaLines } from './table.ts';
import { taskReport } from './task-report.ts';
import { whatIf } from './what-if.ts';
import { whatIfTable } from './what-if-table.ts';

export interface OutcomesIo {
  write(text: string): void; // results
  note(text: string): void; // what was written where
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly epochMs: () => number; // time of day
  readonly commandLine: string; // as it was typed
  /** Where the page lists reports, too; `path`: where it was written, if it was. */
  readonly keepReport?: (kind: string, html: string, path: string | null) => void;
}

type Flags = Readonly<Record<string, unknown>>;

const PAGE = 'sparklane-report.html';

export function addOutcomeCommands(program: Command, io: OutcomesIo): void {
  const command = program
    .command('report')
    .description('what recorded tasks came to: time by phase, acceptance, cost; a table and one HTML page')
    .option('--lane <name>', 'only tasks that were in this lane')
    .option('--faster <times>', 'what a model so many times as fast would bring, such as 3 or 10/3', factorOf)
    .option('--html <path>', 'where the page goes', PAGE)
    .option('--no-html', 'write no page')
    .option('--csv <directory>', 'write tasks.csv, events.csv and requests.csv there')
    .option(
      '--json <path>',
      'write the raw tasks, events and requests, for --import; - is standard output, alone',
    );
  addSourceFlags(command)
    .allowExcessArguments(false)
    .action((flags: Flags) => report(flags, io));
  const question = program
    .command('whatif')
    .description('what another routing policy would have done to time and cost of the recorded requests')
    .requiredOption('--policy <path>', 'the policy to replay')
    .option('--lanes <path>', 'lanes file whose prices count; default: prices as the record shows them')
    .option('--seed <number>', 'of the resamples', seedOf, 1)
    .option('--json', 'print the answer as JSON');
  addSourceFlags(question)
    .allowExcessArguments(false)
    .action((flags: Flags) => answerWhatIf(flags, io));
}

function addSourceFlags(command: Command): Command {
  return addConfigFlags(
    command
      .option('--import <path>', 'read an exported JSON file instead of the record')
      .option('--since <date>', 'only tasks with something on or after it (ISO 8601)', dateOf),
    ['outcomesDb', 'cacheDirectory'],
  );
}

function report(flags: Flags, io: OutcomesIo): void {
  const source = sourceOf(flags, io);
  const { records } = source;
  const json = textOf(flags, 'json');
  const exported = () => `${JSON.stringify(exportOf(records), null, 2)}\n`;
  if (json === '-') {
    io.write(exported());
    return;
  }
  const factor = flags['faster'];
  const made = taskReport(records, {
    lane: textOf(flags, 'lane'),
    faster: typeof factor === 'number' ? factor : null,
  });
  io.write(`${reportTable(made)}\n${taskFormulaLines(made)}`);
  const written: string[] = [];
  const write = (path: string, text: string) => {
    writeFileSync(path, text);
    written.push(path);
  };
  const html = textOf(flags, 'html');
  if (html !== null) {
    const madeAt = new Date(io.epochMs()).toISOString();
    const facts = { source: source.name, command: io.commandLine, madeAt, version: packageVersion() };
    const page = outcomesPage(made, facts);
    io.keepReport?.('outcomes', page, html);
    write(html, page);
  }
  const directory = textOf(flags, 'csv');
  if (directory !== null) {
    mkdirSync(directory, { recursive: true });
    for (const [name, text] of Object.entries(csvFiles(records))) write(join(directory, name), text);
  }
  if (json !== null) write(json, exported());
  if (written.length > 0) io.note(`wrote ${written.join(', ')}\n`);
}

function answerWhatIf(flags: Flags, io: OutcomesIo): void {
  const policy = readPolicy(textOf(flags, 'policy')!);
  const lanes = textOf(flags, 'lanes');
  const prices =
    lanes === null
      ? null
      : Object.fromEntries(Object.entries(readLanes(lanes).lanes).map(([name, { price }]) => [name, price]));
  const { records } = sourceOf(flags, io);
  const made = whatIf(records, { policy, prices, seed: flags['seed'] as number });
  io.write(flags['json'] === true ? `${JSON.stringify(made, null, 2)}\n` : whatIfTable(made));
}

function readPolicy(path: string): Policy {
  try {
    return parsePolicy(jsonFile(path, (reason) => new PolicyError(reason)));
  } catch (error) {
    throw new PolicyError(`${path}: ${(error as Error).message}`);
  }
}

function sourceOf(flags: Flags, { env }: OutcomesIo): TaskSource {
  const config = loadConfig({ flags: configFlags(flags), env });
  const since = flags['since'];
  return readSource({
    importPath: textOf(flags, 'import'),
    databasePath: config.outcomesDb ?? outcomesPath('cache', config.cacheDirectory)!,
    sinceMs: typeof since === 'number' ? since : 0,
  });
}

function textOf(flags: Flags, name: string): string | null {
  const value = flags[name];
  return typeof value === 'string' ? value : null;
}

/** A number, or a fraction of two. */
function factorOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:\/(\d+(?:\.\d+)?))?$/.exec(text.trim());
  const factor = match === null ? Number.NaN : Number(match[1]) / Number(match[2] ?? 1);
  if (factor >= 1 && factor <= 1e6) return factor;
  throw new FlagError('faster', text, 'a number or a fraction from 1 to 1000000');
}

function seedOf(text: string): number {
  const seed = Number(text);
  if (/^\d+$/.test(text) && seed < 2 ** 32) return seed;
  throw new FlagError('seed', text, 'an integer from 0 to 4294967295');
}

function dateOf(text: string): number {
  const ms = Date.parse(text);
  if (Number.isFinite(ms)) return ms;
  throw new FlagError('since', text, 'a date such as 2026-11-20 or 2026-11-20T12:00:00Z');
}
