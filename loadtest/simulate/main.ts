// The simulator's own entry, until `sparklane` mounts its commands: `npx tsx loadtest/simulate/main.ts predict …`.
// The only file of this folder that touches the process.
import { Command } from 'commander';
import { addSimulationCommands, isRefusal } from './commands.ts';

const program = new Command('simulate').description(
  'simulated GPUs and wafers under the real engine, in virtual time',
);
addSimulationCommands(program, {
  write: (text) => void process.stdout.write(text),
  note: (text) => void process.stderr.write(text),
  setExitCode: (code) => {
    process.exitCode = code;
  },
});
try {
  await program.parseAsync();
} catch (error) {
  if (!isRefusal(error)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
