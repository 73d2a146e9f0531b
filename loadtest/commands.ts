// Every command of the load tester, the simulator and the reports, as `sparklane` mounts them beside the server's own. Owns
// where reports are kept for the server's page.
import { writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { userCacheDirectory } from '../server/config/config.ts';
import { ReportShelf, reportsDirectory } from '../server/ui/report-shelf.ts';
import { addLintCommand } from './agents/commands.ts';
import { addLoadtestCommand } from './measure/command.ts';
import type { LoadtestIo } from './measure/io.ts';
import { addOutcomeCommands } from './outcomes/commands.ts';
import { addSimulationCommands } from './simulate/commands.ts';

export interface CommandsIo extends LoadtestIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly programLine: string; // as it was typed, `sparklane` first
}

export function addCommands(program: Command, io: CommandsIo): void {
  const keeping = { ...io, keepReport: reportKeeper(io) };
  addLoadtestCommand(program, keeping);
  addLintCommand(program, keeping);
  addOutcomeCommands(program, { ...keeping, commandLine: io.programLine });
  addSimulationCommands(program, keeping);
}

/** Reports end up where the page lists them, too, wherever they were asked to be written. */
function reportKeeper({ env, epochMs, note }: CommandsIo): NonNullable<LoadtestIo['keepReport']> {
  const directory = reportsDirectory(env['SPARKLANE_CACHE'] || userCacheDirectory(env));
  return (kind, html, path) => {
    if (path !== null && dirname(resolve(path)) === resolve(directory)) return; // a page has asked for it
    try {
      writeFileSync(new ReportShelf(directory).place(`${kind}-${epochMs().toString(36)}.html`), html);
    } catch (error) {
      note(`the report is not kept for the page: ${(error as Error).message}\n`);
    }
  };
}
