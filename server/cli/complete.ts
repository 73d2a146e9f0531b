// `sparklane complete FILE`: goes on with a file at its end, or fills in at a cursor. Owns cutting the text at the
// cursor and to the context's length; the connection is given. Before it: program.ts; after it: client/client.ts.

import type { NativeClient } from '../client/client.ts';
import type { AskOptions, ClientSession } from '../client/client-session.ts';
import { NativeError } from '../client/native-error.ts';
import { TerminalMeter } from './answer-meter.ts';
import { type Host, UsageError } from './terminal.ts';

export interface FileCursor {
  readonly line: number; // from 1
  readonly column: number; // from 1, UTF-16 units; 1 is before the first of the line
}

export interface CompleteOptions {
  readonly text: string;
  readonly cursor: FileCursor | null; // null: the end
  readonly ask: AskOptions;
}

/** Writes the completion, and nothing else, to standard output. Rejects with UsageError or NativeError. */
export async function complete(client: NativeClient, options: CompleteOptions, host: Host): Promise<void> {
  const { terminal, clock } = host;
  const split = options.cursor === null ? options.text.length : offsetOf(options.text, options.cursor);
  const sides = { before: options.text.slice(0, split), after: options.text.slice(split) };
  const fills = options.cursor !== null && client.hello.features.fillInTheMiddle;
  if (options.cursor !== null && !fills) {
    terminal.note('this model cannot fill in the middle: it sees only what stands before the cursor\n');
  }
  if (sides.before === '' && !fills) throw new UsageError('there is nothing before the cursor to go on from');
  const session = await openFitting(client, fills ? sides : { ...sides, after: null }, host);
  const meter = new TerminalMeter(clock);
  const answer = session.generate(options.ask, (frame) => {
    meter.onTokens(frame);
    terminal.write(frame.text);
  });
  const stopListening = terminal.onInterrupt(() => answer.cancel());
  try {
    const end = await answer.end;
    terminal.write(end.text);
    terminal.note(`\n${meter.line(end)}\n`);
    if (end.error !== null) throw new NativeError(end.error.code, end.error.message);
  } finally {
    stopListening();
  }
}

/** Index in `text` of a cursor. Throws UsageError when there is no such place. */
export function offsetOf(text: string, { line, column }: FileCursor): number {
  const lines = text.split('\n');
  const found = lines[line - 1];
  if (found === undefined) throw new UsageError(`--line ${line}: the text has ${lines.length} lines`);
  if (column - 1 > found.length) {
    throw new UsageError(`--column ${column}: line ${line} has columns 1 to ${found.length + 1}`);
  }
  const before = lines.slice(0, line - 1).reduce((sum, { length }) => sum + length + 1, 0);
  return before + column - 1;
}

interface Sides {
  readonly before: string;
  readonly after: string | null;
}

/**
 * A session with as much around the cursor as the context takes, and a quarter of it left for the answer. How many
 * tokens a text has only the server knows, so what is too long is halved, farthest from the cursor first.
 */
async function openFitting(client: NativeClient, sides: Sides, host: Host): Promise<ClientSession> {
  let { before, after } = sides;
  for (;;) {
    const session = client.open();
    const appended = await session
      .append(after === null ? { text: before } : { text: before, suffix: after })
      .catch((error: unknown) => {
        if (error instanceof NativeError && error.code === 'context_length_exceeded') return null;
        throw error;
      });
    const fits = appended !== null && appended.position <= 0.75 * client.hello.limits.contextTokensMax;
    if (fits || before.length + (after?.length ?? 0) < 2) return session;
    await session.close();
    if (after !== null && after.length > before.length) after = after.slice(0, after.length >> 1);
    else before = before.slice(before.length - (before.length >> 1));
    host.terminal.note(
      `the text is too long for the context: using ${before.length} characters before the cursor\n`,
    );
  }
}
