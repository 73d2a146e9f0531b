// WaferDevice: wafers as limits for the engine and a pace for its steps. A replica is one place in the pipeline: its
// sequence has one token, or one prompt, under way at a time; all replicas share the stages, the SRAM and the I/O.
// A prompt comes as one row and is cut into chunks here, which follow each other through the pipe.
import type { BackendLimits, StepPlan, StepRow } from '../../backend.ts';
import type { Clock } from '../../clock.ts';
import type { StepPace } from '../cost-model.ts';
import { shapeKvBytesPerToken } from '../shapes.ts';
import type { WaferSetup } from './floorplan.ts';
import { KvFloor, type KvTraffic } from './kv-floor.ts';
import { nobody, Pipeline } from './pipeline.ts';
import type { Placement } from './placement.ts';
import { stageTimes } from './stage-times.ts';
import type { StageTimes } from './walk.ts';

export interface WaferBounds {
  readonly placesMax: number; // sequences at once
  readonly contextTokensMax: number;
  readonly storeBytes: number; // external KV store; 0: none
  readonly linkLatencyUs: number;
  readonly tokensPerChunk: number; // waiting tokens that pass between two prompt chunks
}

/** What the engine may do on these wafers. */
export function waferLimits(setup: WaferSetup, placement: Placement, bounds: WaferBounds): BackendLimits {
  const { blockSize, shape, kvPrecision } = setup;
  const blockBytes = blockSize * shapeKvBytesPerToken(shape, kvPrecision);
  const storeBlocks = Math.min(storeBlocksMax, Math.floor(bounds.storeBytes / blockBytes));
  const blockCount = placement.kvBlocks + storeBlocks;
  const contextMax = Math.min(bounds.contextTokensMax, shape.contextLength, blockCount * blockSize);
  return {
    replicaCount: Math.max(
      1,
      Math.min(bounds.placesMax, Math.floor((blockCount * blockSize) / tokensPerPlaceMin)),
    ),
    slotCount: 1,
    slotTokensMax: contextMax,
    blockSize,
    blockCount,
    rowTokensMax: contextMax,
    stepTokensMax: contextMax + 1,
    sampleCountMax: 1,
    judgedTokensMax: contextMax,
    logprobsMax: 20,
    vocabSize: shape.vocabSize,
  };
}

const storeBlocksMax = 1 << 22; // bounds the simulator's own tables, 80 MB
const tokensPerPlaceMin = 64; // more places than KV for this many tokens each are of no use

export class WaferPace implements StepPace {
  readonly times: StageTimes;
  readonly pipeline: Pipeline;
  readonly floor: KvFloor;
  readonly #clock: Clock;
  readonly #chunkTokens: number;
  readonly #blockSize: number;
  readonly #slotCount: number;
  readonly #storeMsPerBlock: number;
  readonly #traffic: KvTraffic = { fetched: 0, spilled: 0, streamed: 0 };
  #storeFreeMs = 0; // when the I/O has done what it was given

  constructor(
    setup: WaferSetup,
    placement: Placement,
    { limits, bounds, clock }: { limits: BackendLimits; bounds: WaferBounds; clock: Clock },
  ) {
    const { chip, shape, kvPrecision, waferCount } = setup;
    this.times = stageTimes(setup, placement.stages, bounds.linkLatencyUs);
    this.pipeline = new Pipeline(clock, this.times, bounds.tokensPerChunk);
    const frameCount = Math.min(placement.kvBlocks, limits.blockCount);
    this.floor = new KvFloor(placement.stages, { frameCount, blockCount: limits.blockCount });
    this.#clock = clock;
    this.#chunkTokens = setup.chunkTokens;
    this.#blockSize = limits.blockSize;
    this.#slotCount = limits.slotCount;
    const blockBytes = limits.blockSize * shapeKvBytesPerToken(shape, kvPrecision);
    this.#storeMsPerBlock = (blockBytes / (waferCount * chip.ioBytesPerSecond)) * 1e3;
  }

  get busyMs(): ArrayLike<number> {
    return this.pipeline.busyMs;
  }

  start({ replica, rows }: StepPlan, answer: (deviceMs: number) => void): void {
    const startMs = this.#clock.nowMs();
    let open = rows.length;
    for (const row of rows) {
      this.#start(replica, row, () => {
        if (--open === 0) answer(this.#clock.nowMs() - startMs);
      });
    }
  }

  releaseSlot(replica: number, slot: number): void {
    this.floor.release(replica * this.#slotCount + slot);
  }

  #start(replica: number, row: StepRow, leave: () => void): void {
    const waitMs = this.#bringIn(replica, row);
    if (waitMs > 0) this.#clock.schedule(waitMs, () => this.#enter(row, row.position, leave));
    else this.#enter(row, row.position, leave);
  }

  // KV that lies in the external store comes over the wafers' I/O first. Milliseconds to wait for it.
  #bringIn(replica: number, row: StepRow): number {
    if (row.blocks === undefined) return 0;
    const traffic = this.#traffic;
    traffic.fetched = traffic.spilled = traffic.streamed = 0;
    const seat = replica * this.#slotCount + row.slot;
    this.floor.hold(seat, row.blocks, Math.floor(row.position / this.#blockSize), traffic);
    const blockCount = traffic.fetched + traffic.spilled + traffic.streamed;
    if (blockCount === 0) return 0;
    const nowMs = this.#clock.nowMs();
    this.#storeFreeMs = Math.max(nowMs, this.#storeFreeMs) + blockCount * this.#storeMsPerBlock;
    return this.#storeFreeMs - nowMs;
  }

  // A token, or the chunks of a prompt: the next one queues when the one before it has entered, so that others get between them.
  #enter(row: StepRow, position: number, leave: () => void): void {
    const end = row.position + row.tokens.length;
    const next = Math.min(position + this.#chunkTokens, end);
    const isLast = next === end;
    this.pipeline.enter({
      position,
      tokenCount: next - position,
      draws: isLast && row.sampleCount > 0,
      entered: isLast ? nobody : () => this.#enter(row, next, leave),
      leave: isLast ? leave : nobody,
    });
  }
}
