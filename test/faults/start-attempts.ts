// A process of its own that tries to serve one model after the other and says what came of each, a line of JSON for
// every path on the command line. Before it: models.ts, which reads the lines and gives it little memory.
import { readFileSync } from 'node:fs';
import { argv, platform, resourceUsage } from 'node:process';
import { WallClock } from '../../kernels/clock.ts';
import { runProgram } from '../../server/cli/program.ts';
import { MemoryTerminal } from '../memory-terminal.ts';

export interface Attempt {
  readonly code: number;
  readonly notes: string; // standard error
  readonly served: boolean;
  readonly memorySizeMax: number; // bytes, of this process until now
}

const [cacheDirectory, ...models] = argv.slice(2);

for (const model of models) {
  const terminal = new MemoryTerminal();
  let served = false;
  terminal.onWrite = () => {
    served = true;
    terminal.terminate();
  };
  const host = { terminal, env: {}, clock: new WallClock(), epochMs: Date.now };
  const flags = ['--port', '0', '--kv-cache-size', '4MiB', '--threads', '1', '--log-level', 'error'];
  const args = ['serve', '--model', model, '--cache-directory', cacheDirectory!, ...flags];
  const timer = setInterval(() => served && terminal.terminate(), 10); // nobody listens for it before it serves
  const code = await runProgram(args, host);
  clearInterval(timer);
  const attempt: Attempt = {
    code,
    notes: terminal.notes,
    served,
    memorySizeMax: peakMemorySize(),
  };
  console.log(JSON.stringify(attempt));
}

/** Bytes. On Linux getrusage's peak begins with that of the process that started this one; the kernel's own does not. */
function peakMemorySize(): number {
  if (platform !== 'linux') return resourceUsage().maxRSS * 1024;
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
}
