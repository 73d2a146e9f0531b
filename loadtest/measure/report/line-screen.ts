// How a run is going where no terminal can be redrawn: a line every ten seconds, so that a log shows that it lives.
// Owns when; the words are live-screen.ts's.

import { liveLines } from './live-screen.ts';
import type { LiveScreen, Snapshot } from './live-view.ts';

const INTERVAL_MS = 10_000;
const WIDTH = 240; // characters; a log is not cut

/** `note` gets whole lines. */
export function lineScreen(note: (text: string) => void): LiveScreen {
  let told = { title: '', atMs: 0 };
  return {
    show(snapshot: Snapshot) {
      if (snapshot.title !== told.title) told = { title: snapshot.title, atMs: 0 };
      if (snapshot.elapsedMs - told.atMs < INTERVAL_MS) return;
      told = { title: snapshot.title, atMs: snapshot.elapsedMs };
      const [title, progress, turns] = liveLines(snapshot, WIDTH);
      note(`${title} · ${progress!.replace(/^[█░]+ /, '')} · ${turns}\n`);
    },
    close: () => {},
  };
}
