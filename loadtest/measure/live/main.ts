// The process that draws the live view: gets snapshots over the channel to its parent, redraws its lines on standard
// error, ends when the channel does. Ctrl-C is the parent's.
import { clearScreenDown, moveCursor } from 'node:readline';
import { liveLines } from '../report/live-screen.ts';
import type { Snapshot } from '../report/live-view.ts';

let drawn = 0;

process.on('SIGINT', () => {});
process.on('message', (message: Snapshot | 'close') => {
  erase();
  if (message === 'close') {
    process.disconnect();
    return;
  }
  const lines = liveLines(message, process.stderr.columns || 100);
  process.stderr.write(`${lines.join('\n')}\n`);
  drawn = lines.length;
});
process.on('disconnect', () => process.exit(0));

function erase(): void {
  if (drawn === 0) return;
  moveCursor(process.stderr, 0, -drawn);
  clearScreenDown(process.stderr);
  drawn = 0;
}
