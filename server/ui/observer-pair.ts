// The engine's observer where two want to know: the metrics, and what the page shows. Adds nothing. Used by compose.ts.
import type { EngineObserver } from '../engine/observer.ts';
import type { LiveRecorder } from './live-recorder.ts';

export function observerPair(metrics: EngineObserver, recorder: LiveRecorder): EngineObserver {
  return {
    blocks: metrics.blocks ?? null,
    onRefusal: (reason) => metrics.onRefusal(reason),
    onSeat: (report) => {
      metrics.onSeat(report);
      recorder.onSeat(report);
    },
    onFirstToken: (report) => {
      metrics.onFirstToken(report);
      recorder.onFirstToken(report);
    },
    onTokenGap: (gapMs, tokenCount) => {
      metrics.onTokenGap(gapMs, tokenCount);
      recorder.onTokenGap(gapMs, tokenCount);
    },
    onEnd: (report) => {
      metrics.onEnd(report);
      recorder.onEnd(report);
    },
    onPreemption: () => metrics.onPreemption(),
    onEviction: (blockCount, reason) => metrics.onEviction(blockCount, reason),
    onCold: (report) => metrics.onCold(report),
    onStep: (report) => {
      metrics.onStep(report);
      recorder.onStep(report);
    },
    onStepFailure: (code) => metrics.onStepFailure(code),
    onRequestError: (error) => metrics.onRequestError(error),
    onKv: (report) => {
      metrics.onKv(report);
      recorder.onKv(report);
    },
  };
}
