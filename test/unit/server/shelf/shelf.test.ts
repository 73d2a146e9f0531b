import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { createLog } from '../../../../server/base/log.ts';
import { type Lease, type Resident, Shelf, type ShelfParts } from '../../../../server/shelf/shelf.ts';

interface Scripted extends Resident {
  readonly seen: string[];
  busy: boolean;
}

function resident(name: string, size: number, load?: Resident['load']): Scripted {
  const seen: string[] = [];
  const self: Scripted = {
    ...{ name, size, seen, busy: false },
    load: async (tell) => {
      seen.push('load');
      await load?.(tell);
    },
    unload: async () => void seen.push('unload'),
    isBusy: () => self.busy,
  };
  return self;
}

function shelfOf(more: Partial<ShelfParts> = {}) {
  const clock = new VirtualClock();
  const log = createLog({ level: 'silent', write: () => {}, epochMs: () => 0 });
  return { clock, shelf: new Shelf({ memoryMax: 100, idleUnloadMs: null, clock, log, ...more }) };
}

async function leased(shelf: Shelf, one: Resident, keepAliveMs?: number | null): Promise<Lease> {
  const used = await shelf.use(one, keepAliveMs === undefined ? {} : { keepAliveMs });
  if (!used.ok) throw new Error(used.fault.message);
  return used.value;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('a model is loaded once for all who ask for it, and tells what it is at', async () => {
  const { shelf } = shelfOf();
  const told: string[] = [];
  let finish = () => {};
  const a = resident('a', 10, (tell) => {
    tell('half');
    return new Promise<void>((resolve) => {
      finish = resolve;
    });
  });
  expect(shelf.stateOf(a)).toEqual({ kind: 'unloaded' });
  const first = shelf.use(a, { onProgress: (progress) => told.push(progress) });
  const second = shelf.use(a);
  await settled();
  expect(shelf.stateOf(a)).toEqual({ kind: 'loading', progress: 'half' });
  finish();
  expect((await Promise.all([first, second])).every(({ ok }) => ok)).toBe(true);
  expect(told).toEqual(['loading', 'half']);
  expect(a.seen).toEqual(['load']);
  expect(shelf.stateOf(a)).toMatchObject({ kind: 'loaded' });
  expect(shelf.usedSize).toBe(10);
});

test('where memory is short the one that was used least recently makes room', async () => {
  const { shelf, clock } = shelfOf();
  const [a, b, c] = [resident('a', 40), resident('b', 40), resident('c', 40)];
  for (const one of [a, b]) {
    (await leased(shelf, one)).release();
    clock.schedule(5, () => {});
    clock.run();
  }
  (await leased(shelf, a)).release();
  (await leased(shelf, c)).release();
  expect([a.seen, b.seen, c.seen]).toEqual([['load'], ['load', 'unload'], ['load']]);
  expect(shelf.usedSize).toBe(80);
});

test('nobody in use is unloaded: who needs the memory waits until it is left', async () => {
  const { shelf } = shelfOf();
  const [a, b, c] = [resident('a', 60), resident('b', 60), resident('c', 60)];
  const held = await leased(shelf, a);
  const waiting = leased(shelf, b);
  const behind = leased(shelf, c);
  await settled();
  expect(shelf.stateOf(b)).toEqual({ kind: 'loading', progress: 'waiting for memory that other models use' });
  expect(shelf.stateOf(c)).toEqual({ kind: 'loading', progress: 'waiting for another model' });
  expect(b.seen).toEqual([]);
  held.release();
  held.release(); // twice is once
  (await waiting).release();
  (await behind).release();
  expect([a.seen, b.seen, c.seen]).toEqual([['load', 'unload'], ['load', 'unload'], ['load']]);
});

test('work without a lease keeps a model, too', async () => {
  const { shelf, clock } = shelfOf();
  const [a, b] = [resident('a', 60), resident('b', 60)];
  (await leased(shelf, a)).release();
  a.busy = true;
  expect(await shelf.unload(a)).toBe(false);
  const waiting = leased(shelf, b);
  await settled();
  a.busy = false;
  clock.run(2000);
  await waiting;
  expect(a.seen).toEqual(['load', 'unload']);
});

test('idle models are unloaded after their time, each request may say after which', async () => {
  const { shelf, clock } = shelfOf({ idleUnloadMs: 1000 });
  const [a, b, c] = [resident('a', 10), resident('b', 10), resident('c', 10)];
  (await leased(shelf, a)).release();
  (await leased(shelf, b, null)).release();
  (await leased(shelf, c, 0)).release();
  expect(shelf.stateOf(a)).toMatchObject({ kind: 'loaded', expiresMs: 1000 });
  clock.run(999);
  await settled();
  expect([a.seen, b.seen, c.seen]).toEqual([['load'], ['load'], ['load', 'unload']]);
  const again = await leased(shelf, a);
  clock.run(5000);
  await settled();
  expect(a.seen).toEqual(['load']); // in use
  again.release();
  clock.run(7000);
  await settled();
  expect([a.seen, b.seen]).toEqual([['load', 'unload'], ['load']]);
});

test('one that is asked for while it is being unloaded is loaded again', async () => {
  const { shelf } = shelfOf();
  const a = resident('a', 10);
  (await leased(shelf, a)).release();
  const unloading = shelf.unload(a);
  await leased(shelf, a);
  expect(await unloading).toBe(true);
  expect(a.seen).toEqual(['load', 'unload', 'load']);
});

test('one that cannot be loaded harms no other, and is tried again after a while', async () => {
  const { shelf, clock } = shelfOf();
  const [bad, good] = [resident('bad', 60, () => Promise.reject(new Error('torn'))), resident('good', 60)];
  const [refused, used] = await Promise.all([shelf.use(bad), shelf.use(good)]);
  expect(refused).toMatchObject({ ok: false, fault: { code: 'model_not_loaded' } });
  expect(used.ok).toBe(true);
  expect(shelf.stateOf(bad)).toEqual({ kind: 'failed', reason: 'torn' });
  await shelf.use(bad);
  expect(bad.seen).toEqual(['load']);
  if (used.ok) used.value.release();
  clock.run(10_001);
  await shelf.use(bad);
  expect(bad.seen).toEqual(['load', 'load']);
});

test('a model larger than all memory for models is refused in words', async () => {
  const { shelf } = shelfOf({ memoryMax: 2 ** 20 });
  const refused = await shelf.use(resident('huge', 3 * 2 ** 20));
  expect(refused).toMatchObject({ ok: false, fault: { message: expect.stringContaining('takes 3 MiB') } });
  expect(shelf.usedSize).toBe(0);
});
