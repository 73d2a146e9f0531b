// An observer that counts the little that simulations look at.
import type { EngineObserver } from '../../server/engine/observer.ts';

export interface QuietObserver extends EngineObserver {
  preemptions: number;
  evictions: number;
  stepFailures: number;
}

export function quietObserver(): QuietObserver {
  return {
    preemptions: 0,
    evictions: 0,
    stepFailures: 0,
    onRefusal() {},
    onSeat() {},
    onFirstToken() {},
    onTokenGap() {},
    onEnd() {},
    onPreemption() {
      this.preemptions++;
    },
    onEviction(blockCount) {
      this.evictions += blockCount;
    },
    onStep() {},
    onStepFailure() {
      this.stepFailures++;
    },
    onKv() {},
  };
}
