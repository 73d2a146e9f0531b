#!/usr/bin/env node
// The load tester as a program of its own: the only file of this folder, beside measure/live/main.ts, that touches the process.
// `sparklane loadtest` mounts the same command.
import { fork } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { WallClock } from '../kernels/clock.ts';
import { addLoadtestCommand } from './measure/command.ts';
import type { LoadtestIo } from './measure/io.ts';
import { lineScreen } from './measure/report/line-screen.ts';
import type { LiveScreen } from './measure/report/live-view.ts';

const EXPECTED_ERRORS = [
  'FlagError',
  'TraceError',
  'ProbeError',
  'CheckpointError',
  'ConfigError',
  'UnknownBackendError',
];

const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Everything the load tester needs from this process. */
export function processIo(): LoadtestIo {
  return {
    clock: new WallClock(),
    epochMs: () => Date.now(),
    commandLine: ['sparklane loadtest', ...withoutKeys(process.argv.slice(2))].map(quoted).join(' '),
    machine: machineText(),
    nodeVersion: process.versions.node,
    apiKey: process.env['SPARKLANE_API_KEY'] ?? null,
    write: (text) => void process.stdout.write(text),
    note: (text) => void process.stderr.write(text),
    openFile: (directory, name) => {
      mkdirSync(directory, { recursive: true });
      const file = openSync(join(directory, name), 'w');
      return { append: (text) => void writeSync(file, text), close: () => closeSync(file) };
    },
    onInterrupt: (fn) => {
      for (const signal of STOPPING) process.on(signal, fn);
      return () => {
        for (const signal of STOPPING) process.off(signal, fn);
      };
    },
    openLive: () =>
      process.stderr.isTTY ? forkLive() : lineScreen((text) => void process.stderr.write(text)),
    settle: () => new Promise((resolve) => setImmediate(resolve)),
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
}

/** Runs `args` and prints what is wrong with them. */
export async function runLoadtest(args: readonly string[], io: LoadtestIo): Promise<void> {
  const program = new Command('sparklane').exitOverride();
  program.configureOutput({ writeOut: (text) => io.write(text), writeErr: (text) => io.note(text) });
  addLoadtestCommand(program, io);
  try {
    await program.parseAsync(['loadtest', ...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      io.setExitCode(error.exitCode);
      return;
    }
    const { name, message, stack } = error as Error;
    io.note(`sparklane loadtest: ${EXPECTED_ERRORS.includes(name) ? message : stack}\n`);
    io.setExitCode(2);
  }
}

function forkLive(): LiveScreen {
  const file = fileURLToPath(new URL(`./measure/live/main${extname(import.meta.url)}`, import.meta.url));
  const child = fork(file, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  let open = true;
  child.on('error', () => {
    open = false; // the run matters, the view does not
  });
  child.on('exit', () => {
    open = false;
  });
  child.unref();
  child.channel?.unref();
  return {
    show: (snapshot) => {
      if (open && child.connected) child.send(snapshot);
    },
    close: () => {
      if (open && child.connected) child.send('close');
      open = false;
    },
  };
}

function machineText(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${memory} GiB, load ${loadavg()[0]!.toFixed(1)}`;
}

/** The command as it goes into reports: keys are nobody's business there, nor what headers and proxies carry. */
function withoutKeys(words: readonly string[]): string[] {
  return words
    .filter((word, at) => !(at === 0 && word === 'loadtest'))
    .map((word, at, all) => {
      const [, own, value] = /^(--(?:api-key|header|proxy|body)=)(.*)$/s.exec(word) ?? [];
      const flag = own?.slice(0, -1) ?? all[at - 1];
      const shown = value ?? word;
      if (flag === '--api-key') return `${own ?? ''}…`;
      if (flag === '--header') return `${own ?? ''}${shown.split(':')[0]}: …`;
      if (flag === '--proxy') return `${own ?? ''}${shown.replace(/\/\/[^@/]*@/, '//…@')}`;
      return word;
    });
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$|^sparklane loadtest$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === process.argv[1]) {
  await runLoadtest(process.argv.slice(2), processIo());
}
