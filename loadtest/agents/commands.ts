// `sparklane lint`, and the recorder behind `sparklane loadtest --record`. A thin layer: reads flags and files, prints.
import { writeFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import type { Clock } from '../../kernels/clock.ts';
import { readConversations } from './conversation-file.ts';
import { lint } from './lint.ts';
import { lintTable } from './lint-table.ts';
import { Recording } from './recording.ts';
import { type Forward, RecordingProxy } from './recording-proxy.ts';

export interface LintIo {
  write(text: string): void;
}

export function addLintCommand(program: Command, io: LintIo): void {
  program
    .command('lint')
    .description(
      'how cacheable an agent’s conversations are, where and why their prefix broke, what that cost',
    )
    .argument('<file>', 'a recording (loadtest --record), or request bodies, one JSON object a line')
    .option('--price <money>', 'what a million uncached prompt tokens cost more than cached ones', positive)
    .option('--prefill <rate>', 'prompt tokens that the server computes in a second', positive)
    .option('--json', 'print the report as JSON')
    .allowExcessArguments(false)
    .action((file: string, flags: { price?: number; prefill?: number; json?: boolean }) => {
      const report = lint(readConversations(file));
      const price = { perMillion: flags.price ?? null, prefillPerSecond: flags.prefill ?? null };
      io.write(flags.json === true ? `${JSON.stringify(report, null, 2)}\n` : lintTable(report, price));
    });
}

function positive(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 1e9) return value;
  throw new InvalidArgumentError('expected a number above 0');
}

export interface RecordOptions {
  readonly file: string;
  readonly forward: Forward; // to the server
  readonly port: number;
  readonly clock: Clock;
  readonly note: (text: string) => void;
  /** Resolves when the person, or the system, wants it to end. */
  readonly ended: Promise<void>;
}

/** Records until it is told to end; the file is whole after every request. Resolves with what was recorded. */
export async function record(options: RecordOptions): Promise<Recording> {
  const { file, note } = options;
  const recording = new Recording();
  const save = () => writeFileSync(file, recording.text);
  const proxy = new RecordingProxy({ ...options, recording, onRecorded: save });
  const port = await proxy.listen();
  note(`recording: point your client at http://127.0.0.1:${port}; Ctrl-C ends\n`);
  await options.ended;
  proxy.close();
  save();
  const requests = recording.sessions.reduce((sum, session) => sum + session.requests.length, 0);
  note(
    `wrote ${file}: ${requests} requests in ${recording.sessions.length} sessions, without their text; ${recording.ignored} others were handed on only\n`,
  );
  return recording;
}
