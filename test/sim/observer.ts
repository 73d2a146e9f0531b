// An observer that counts the little that simulations look at.
import type { EngineObserver } from '../../server/engine/observer.ts';

export interface QuietObserver extends EngineObserver {
  preemptions: number;
  evictions: number;
  stepFailures: number;
  fetchedBlocks: number;
  skippedBlocks: number;
  recomputedTokens: number;
  keptTokens: number;
}

export function quietObserver(): QuietObserver {
  return {
    preemptions: 0,
    evictions: 0,
    stepFailures: 0,
    fetchedBlocks: 0,
    skippedBlocks: 0,
    recomputedTokens: 0,
    keptTokens: 0,
    onRefusal() {},
    onSeat({ keptTokens }) {
      this.keptTokens += keptTokens;
    },
    onFirstToken() {},
    onTokenGap() {},
    onEnd() {},
    onPreemption() {
      this.preemptions++;
    },
    onEviction(blockCount) {
      this.evictions += blockCount;
    },
    onCold({ fetchedBlocks, skippedBlocks }) {
      this.fetchedBlocks += fetchedBlocks;
      this.skippedBlocks += skippedBlocks;
    },
    onStep({ recomputedTokens }) {
      this.recomputedTokens += recomputedTokens;
    },
    onStepFailure() {
      this.stepFailures++;
    },
    onRequestError(error) {
      throw error;
    },
    onKv() {},
  };
}
