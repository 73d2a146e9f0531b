// Walk: how work goes through the stages of a pipeline, one after the other, and what that takes on idle stages. Before it:
// stage-times.ts, which knows what each stage takes.

/** Work that goes through the stages as one: a decoded token, or a chunk of a prompt. */
export interface Work {
  readonly tokenCount: number;
  readonly position: number; // tokens before it
  readonly draws: boolean; // its last token needs the output projection
}

export interface StageTimes {
  readonly stageCount: number;
  readonly undrafted?: StageTimes; // where tokens are drafted: the same without
  /** Stage `index` at work. */
  workMs(index: number, work: Work): number;
  /** From stage `index` having something to hand over to the next one having it: 0 within a wafer. */
  linkMs(index: number, tokenCount: number): number;
  /**
   * Sends work in at `startMs`, given when each stage is free; updates that, adds to `busyMs`, returns when it leaves.
   * Nobody overtakes, and a stage keeps what it has until the next one takes it.
   */
  walk(work: Work, startMs: number, freeAtMs: Float64Array, busyMs: Float64Array | null): number;
  /** T1: one token through idle stages. */
  tokenMs(contextCount: number): number;
  /** The slowest stage for one token; `draws`: the output projection counts. */
  slowestStageMs(contextCount: number, draws: boolean): number;
  /** First token of a prompt of `tokenCount` on idle stages, chunk after chunk. */
  prefillMs(tokenCount: number, chunkTokens: number): number;
}

/** What a stage takes of one piece of work, milliseconds. */
export interface StepMs {
  workMs(index: number, work: Work): number;
  handMs(index: number, work: Work, workMs: number): number; // from the beginning to the first handing over
  linkMs(index: number, tokenCount: number): number;
}

export function walkThrough(stageCount: number, { workMs, handMs, linkMs }: StepMs): StageTimes['walk'] {
  return (work, startMs, freeAtMs, busyMs) => {
    let start = Math.max(startMs, freeAtMs[0]!);
    let end = start; // the last token is there
    for (let index = 0; index < stageCount; index++) {
      const ms = workMs(index, work);
      const hand = handMs(index, work, ms);
      if (busyMs !== null) busyMs[index]! += ms;
      end = Math.max(start + ms, end + hand);
      if (index === stageCount - 1) {
        freeAtMs[index] = end;
        break;
      }
      const taken = Math.max(start + hand, freeAtMs[index + 1]!);
      freeAtMs[index] = Math.max(end, taken);
      const link = linkMs(index, work.tokenCount);
      start = taken + link;
      end = Math.max(end, taken) + link;
    }
    return end;
  };
}

/** [stage] milliseconds of one token: base + slope · position; link: on its way to the next stage. */
export interface TokenTimes {
  readonly base: Float64Array;
  readonly slope: Float64Array;
  readonly link: Float64Array;
  readonly isHead: Uint8Array; // 1: works only for tokens that draw
}

/** As walkThrough(), of one token: a stage has all of it or nothing, so its two ends are one, and nobody is asked for each stage. */
export function walkOfToken({ base, slope, link, isHead }: TokenTimes): StageTimes['walk'] {
  const last = base.length - 1;
  return ({ position, draws }, startMs, freeAtMs, busyMs) => {
    let there = Math.max(startMs, freeAtMs[0]!);
    for (let index = 0; index <= last; index++) {
      const ms = isHead[index] === 1 && !draws ? 0 : base[index]! + slope[index]! * position;
      if (busyMs !== null) busyMs[index]! += ms;
      there += ms;
      if (index < last && freeAtMs[index + 1]! > there) there = freeAtMs[index + 1]!;
      freeAtMs[index] = there;
      there += link[index]!;
    }
    return there;
  };
}

export function idleTimes(
  stageCount: number,
  workMs: StageTimes['workMs'],
  walk: StageTimes['walk'],
): Pick<StageTimes, 'tokenMs' | 'slowestStageMs' | 'prefillMs'> {
  return {
    tokenMs: (position) =>
      walk({ tokenCount: 1, position, draws: true }, 0, new Float64Array(stageCount), null),
    slowestStageMs(position, draws) {
      let slowest = 0;
      for (let index = 0; index < stageCount; index++) {
        slowest = Math.max(slowest, workMs(index, { tokenCount: 1, position, draws }));
      }
      return slowest;
    },
    prefillMs(tokenCount, chunkTokens) {
      const freeAtMs = new Float64Array(stageCount);
      let leftMs = 0;
      for (let position = 0; position < tokenCount; position += chunkTokens) {
        const count = Math.min(chunkTokens, tokenCount - position);
        leftMs = walk(
          { tokenCount: count, position, draws: position + count === tokenCount },
          0,
          freeAtMs,
          null,
        );
      }
      return leftMs;
    },
  };
}
