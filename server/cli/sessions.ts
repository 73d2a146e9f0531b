// `sparklane sessions`: lists, shows and drops the sessions of an API key on a running server, over the native protocol
// (the server answers for the caller's own sessions only, so no other right is needed). Owns the table on the screen.
// Before it: program.ts; after it: client/client.ts.
import type { NativeClient } from '../client/client.ts';
import type { SessionSummary } from '../client/messages.ts';
import type { Host } from './terminal.ts';

/** One line each, the latest used first. */
export async function listSessions(client: NativeClient, { terminal }: Host): Promise<void> {
  const sessions = [...(await client.sessions())].sort((a, b) => a.idleUs - b.idleUs);
  if (sessions.length === 0) {
    terminal.note('no sessions\n');
    return;
  }
  const rows = [HEADINGS, ...sessions.map(cellsOf)];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    const cells = row.map((cell, column) => cell.padEnd(widths[column]!));
    terminal.write(`${cells.join('  ').trimEnd()}\n`);
  }
}

/** What the session says of itself, then the end of its text. Rejects with NativeError if there is none. */
export async function showSession(
  client: NativeClient,
  { id, tokenCount }: { readonly id: string; readonly tokenCount: number | null },
  { terminal }: Host,
): Promise<void> {
  const { summary, text } = await client.show(id, tokenCount ?? undefined);
  const cells = cellsOf(summary);
  terminal.note(`${HEADINGS.map((heading, column) => `${heading} ${cells[column]}`).join(', ')}\n`);
  terminal.write(`${text}\n`);
}

/** Ends them, whoever has them. Rejects with NativeError at the first that there is not. */
export async function dropSessions(
  client: NativeClient,
  ids: readonly string[],
  { terminal }: Host,
): Promise<void> {
  for (const id of ids) {
    await client.drop(id);
    terminal.note(`dropped ${id}\n`);
  }
}

const HEADINGS = ['id', 'tokens', 'state', 'age', 'idle'] as const;

function cellsOf({ id, position, attached, running, ageUs, idleUs }: SessionSummary): readonly string[] {
  const state = `${running ? 'answering' : 'quiet'}${attached ? '' : ', no client'}`;
  return [id, String(position), state, spanText(ageUs), spanText(idleUs)];
}

/** 95 s → 1m35s */
function spanText(us: number): string {
  const seconds = Math.round(us / 1e6);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes}m${seconds % 60}s` : `${Math.floor(minutes / 60)}h${minutes % 60}m`;
}
