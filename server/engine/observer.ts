// EngineObserver: what the engine reports about itself, as numbers only. metrics/metrics.ts turns it into Prometheus,
// the simulator into reports. Called synchronously from the engine's loop: implementations must be cheap.
import type { DeviceFailureCode } from '../../kernels/backend.ts';
import type { BlockWatch, MissReason } from './prefix-cache.ts';
import type { FinishReason, Priority, RefusalReason } from './request.ts';

export interface StepReport {
  readonly replica: number;
  readonly rowCount: number;
  readonly prefillTokens: number;
  readonly decodeTokens: number;
  readonly restoredBlocks: number; // brought in from the block store
  readonly recomputedTokens: number; // of the prefill and decode tokens, computed before and lost since
  readonly planMs: number; // engine time: seat + plan
  readonly stepMs: number; // plan sent → answer in hand
  readonly deviceMs: number; // of it, on the device; 0 for a failed step
}

export interface KvReport {
  readonly blockCount: number;
  readonly inUseCount: number;
  readonly idleCachedCount: number;
  readonly touchedCount: number; // blocks ever used: the memory that the store has taken
  readonly runningCount: number;
  readonly waitingCount: number;
  readonly pausedCount: number; // of both, those whose readers are slow
}

export interface EngineObserver {
  /** Hears of each block that is found again, where somebody wants to know. */
  readonly blocks?: BlockWatch | null;
  onRefusal(reason: RefusalReason): void;
  /** A sequence got its first seat. */
  onSeat(report: {
    readonly priority: Priority;
    readonly queueMs: number;
    readonly promptTokens: number;
    readonly cachedTokens: number;
    readonly missReason: MissReason; // why the others are computed
    readonly coldTokens: number; // of these, brought back from the archive
    readonly keptTokens: number; // of cachedTokens, those that need not be copied: an earlier answer has left them in the seat
  }): void;
  /** First output token of a sequence, since submit. */
  onFirstToken(report: { readonly priority: Priority; readonly ttftMs: number }): void;
  /** Gap between a sequence's previous tokens and these; `tokenCount` arrived together. */
  onTokenGap(gapMs: number, tokenCount: number): void;
  onEnd(report: {
    readonly priority: Priority;
    readonly reason: FinishReason;
    readonly promptTokens: number;
    readonly cachedTokens: number;
    readonly outputTokens: number;
    readonly acceptedDraftTokens: number;
    readonly rejectedDraftTokens: number;
    readonly tpotMs: number | null; // (last − first) / (tokens − 1); null below two tokens
  }): void;
  onPreemption(): void;
  /** Findable blocks were given up: for others, or because the device lost its block store. */
  onEviction(blockCount: number, reason: 'capacity' | 'device-lost'): void;
  /** Archived blocks were brought back, or computed anew because that is quicker. */
  onCold(report: { readonly fetchedBlocks: number; readonly skippedBlocks: number }): void;
  onStep(report: StepReport): void;
  onStepFailure(code: DeviceFailureCode): void;
  /** A request's constraint, end or reader threw: a fault of the server, of which that request alone hears. */
  onRequestError(error: Error): void;
  /** After every commit. */
  onKv(report: KvReport): void;
}
