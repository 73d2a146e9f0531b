// The command that measures this machine for the simulator. For ../commands.ts; after it: measure.ts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { WallClock } from '../../../kernels/clock.ts';
import { people } from '../flag-values.ts';
import { refuseUnwritable } from '../result-file.ts';
import { measureMachine } from './measure.ts';

interface MachineFlags {
  readonly out: string;
  readonly format: 'int8' | 'int4';
  readonly threads: number;
  readonly seconds: number;
}

export function addMeasureDevice(
  program: Command,
  output: { write(text: string): void; note(text: string): void },
): void {
  program
    .command('measure-device')
    .description(
      'time this machine’s own kernels and write a file for --device of predict, simulate and compare',
    )
    .option('--out <file>', 'where to write it', chipFile, 'this-machine.json')
    .option('--format <format>', 'of the weights: int8 or int4', format, 'int8')
    .option('--threads <count>', 'that compute; default: all', people, availableParallelism())
    .option('--seconds <seconds>', 'how long to measure, 10 to 3600', seconds, 120)
    .action(async (flags: MachineFlags) => {
      refuseUnwritable('out', flags.out);
      const cacheDirectory = mkdtempSync(join(tmpdir(), 'sparklane-probes-'));
      try {
        const file = await measureMachine({
          ...{ format: flags.format, threads: flags.threads, seconds: flags.seconds, cacheDirectory },
          ...{ machine: machineText(), memoryBytes: totalmem(), clock: new WallClock() },
          onProgress: (what) => output.note(`${what} …\n`),
        });
        writeFileSync(flags.out, `${JSON.stringify(file, null, 1)}\n`);
        const lines = file.by_thread.map(
          ({ threads, weights_gb_per_second: gb, gflops }) =>
            `  ${threads} thread${threads === 1 ? ' ' : 's'}: reads ${gb} GB/s of weights for one token, computes ${gflops} GFLOP/s with ${file.tokens.at(-1)}\n`,
        );
        output.write(`wrote ${flags.out}: ${file.machine}, ${file.format}\n${lines.join('')}`);
      } finally {
        rmSync(cacheDirectory, { recursive: true, force: true });
      }
    });
}

function machineText(): string {
  const list = cpus();
  return `${list.length} × ${list[0]?.model.trim() ?? 'unknown'}`.slice(0, 200);
}

function chipFile(text: string): string {
  if (text.endsWith('.json')) return text;
  throw new InvalidArgumentError('expected a name that ends in .json, as --device does');
}

function format(text: string): 'int8' | 'int4' {
  if (text === 'int8' || text === 'int4') return text;
  throw new InvalidArgumentError('expected int8 or int4');
}

function seconds(text: string): number {
  const value = Number(text);
  if (value >= 10 && value <= 3600) return value;
  throw new InvalidArgumentError('expected seconds from 10 to 3600');
}
