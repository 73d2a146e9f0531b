import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { progressBar, transferBar } from '../../../../server/cli/progress.ts';
import { MemoryTerminal } from '../../../memory-terminal.ts';

const MB = 1_000_000;

function host() {
  const terminal = new MemoryTerminal();
  const clock = new VirtualClock();
  return { terminal, clock, env: {}, epochMs: () => 0 };
}

test('building tells a log every ten seconds how far it is', () => {
  const world = host();
  const bar = progressBar(world, 'building m');
  for (let second = 0; second <= 25; second++) {
    world.clock.run(second * 1000);
    bar.onProgress({ doneSize: second * 4 * 2 ** 20, totalSize: 100 * 2 ** 20 });
  }
  bar.end();
  expect(world.terminal.notes).toBe(
    'building m: 0 % of 100 MiB\nbuilding m: 40 % of 100 MiB\nbuilding m: 80 % of 100 MiB\n',
  );
});

test('a bar promises no time before it has seen any pass', () => {
  const screen = Object.assign(new PassThrough(), { isTTY: true, columns: 120 });
  const { clock, env, epochMs } = host();
  const bar = progressBar({ terminal: new MemoryTerminal({ screen }), clock, env, epochMs }, 'building m');
  bar.onProgress({ doneSize: 0, totalSize: 19 * 2 ** 20 });
  bar.end();
  const drawn = String(screen.read());
  expect(drawn).toContain('0 % of 19 MiB');
  expect(drawn).not.toContain('left');
});

test('a transfer tells rate and time left, of what came over the network alone', () => {
  const world = host();
  const bar = transferBar(world, 'pulling a/b');
  // Half was there already and is read back at once.
  bar.onProgress({ doneSize: 500 * MB, totalSize: 1000 * MB, arrivedSize: 0 });
  for (let second = 1; second <= 20; second++) {
    world.clock.run(second * 1000);
    bar.onProgress({ doneSize: (500 + 5 * second) * MB, totalSize: 1000 * MB, arrivedSize: 5 * second * MB });
  }
  bar.end();
  expect(world.terminal.notes.split('\n')).toEqual([
    'pulling a/b: 50 % of 1.00 GB, 5.00 MB/s, 2 min left',
    'pulling a/b: 55 % of 1.00 GB, 5.00 MB/s, 89 s left',
    '',
  ]);
});
