// No core ever holds more than its SRAM, whatever the model, the demand and the traffic; KV is conserved.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { SHAPES } from '../../../../kernels/sim/catalogue.ts';
import { planSimDevice } from '../../../../kernels/sim/device.ts';
import { KvFloor } from '../../../../kernels/sim/wafer/kv-floor.ts';
import { RegionLedger } from '../../../../kernels/sim/wafer/region-ledger.ts';

test('in every placement the books of every core add up to at most its SRAM', () => {
  const demand = fc.record({
    userCount: fc.integer({ min: 1, max: 500 }),
    contextTokens: fc.integer({ min: 1024, max: 32_768 }),
    answerTokens: fc.integer({ min: 1, max: 1024 }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...SHAPES.slice(0, 8)),
      demand,
      fc.constantFrom(8, 16, 64),
      (shape, asked, blockSize) => {
        const device = planSimDevice({ device: 'wse3', shape, precision: 'fp16', demand: asked, blockSize });
        if (device.kind !== 'wafer') throw new Error('not a wafer');
        for (const { sram, rows } of device.placement.stages) {
          const fixed = sram.reservedBytes + sram.weightsBytes + sram.activationsBytes;
          const fullest = sram.blockBytes === 0 ? 0 : Math.ceil(device.placement.kvBlocks / rows);
          expect(fullest).toBeLessThanOrEqual(Math.max(0, sram.blocksPerRow));
          expect(fixed + fullest * sram.blockBytes).toBeLessThanOrEqual(device.setup.chip.coreBytes);
        }
      },
    ),
    { numRuns: 12 },
  );
});

test('a ledger keeps its rows level and within their room, in any order of coming and going', () => {
  const bounds = fc.record({
    rowCount: fc.integer({ min: 1, max: 9 }),
    blocksPerRow: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(
    fc.property(bounds, fc.integer(), ({ rowCount, blocksPerRow }, seed) => {
      const frameCount = rowCount * blocksPerRow;
      const ledger = new RegionLedger({ rowCount, blocksPerRow, frameCount });
      const random = new Random(seed);
      const placed = new Set<number>();
      for (let step = 0; step < 200; step++) {
        const frame = random.integer(0, frameCount - 1);
        if (placed.delete(frame)) ledger.remove(frame);
        else {
          placed.add(frame);
          ledger.place(frame);
        }
        ledger.check();
        expect(ledger.count).toBe(placed.size);
      }
    }),
    { numRuns: 50 },
  );
});

test('blocks on the wafers and in the store are conserved, and pinned ones stay on the wafers', () => {
  const stages = planSimDevice({ device: 'wse3', shape: SHAPES[0]!, precision: 'fp16' });
  if (stages.kind !== 'wafer') throw new Error('not a wafer');
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 4, max: 40 }),
      fc.integer({ min: 0, max: 40 }),
      (seed, frameCount, extra) => {
        const blockCount = frameCount + extra;
        const floor = new KvFloor(stages.placement.stages, { frameCount, blockCount });
        const random = new Random(seed);
        const seats = new Map<number, number[]>();
        const free = Array.from({ length: blockCount }, (_, block) => block);
        const traffic = { fetched: 0, spilled: 0, streamed: 0 };
        for (let step = 0; step < 150; step++) {
          const seat = random.integer(0, 4);
          const blocks = seats.get(seat) ?? [];
          if (blocks.length > 0 && random.next() < 0.2) {
            floor.release(seat);
            free.push(...blocks);
            seats.delete(seat);
          } else if (free.length > 0) {
            const filled = blocks.length;
            const grown = [...blocks, free.splice(random.integer(0, free.length - 1), 1)[0]!];
            seats.set(seat, grown);
            floor.hold(seat, grown, filled, traffic);
          }
          floor.check();
          const { residentCount, pinnedCount } = floor.use;
          expect(residentCount).toBeLessThanOrEqual(frameCount);
          const held = [...seats.values()].reduce((sum, own) => sum + own.length, 0);
          expect(pinnedCount).toBeLessThanOrEqual(held);
          if (extra === 0) expect(pinnedCount).toBe(held);
        }
        if (extra === 0) expect(traffic.spilled + traffic.streamed).toBe(0);
      },
    ),
    { numRuns: 40 },
  );
});
