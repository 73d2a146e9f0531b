#!/usr/bin/env node
// The program `sparklane`: the server's commands and those of the load tester, which uses the server and is used by nothing
// in it. They meet here, and the load tester is only loaded when it is called: serving must not wait for charts.
import { runProcess } from './server/main.ts';

await runProcess(async () => {
  const { processIo } = await import('./loadtest/main.ts');
  const { addCommands } = await import('./loadtest/commands.ts');
  const io = {
    ...processIo(),
    env: process.env,
    programLine: ['sparklane', ...process.argv.slice(2)].join(' '),
  };
  return [(program, setExitCode) => addCommands(program, { ...io, setExitCode })];
});
