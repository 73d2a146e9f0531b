// FleetNode: one node of a simulated fleet: the engine that serves, on a simulated device, with what a proxy sees of it. It can be
// lost and come back empty. Before it: fleet.ts.

import type { StepPlan, StepRow } from '../../../kernels/backend.ts';
import { greedySampling } from '../../../kernels/backend.ts';
import type { Clock } from '../../../kernels/clock.ts';
import { type SimDevice, simBackend } from '../../../kernels/sim/device.ts';
import { PlainTokens } from '../../../kernels/sim/token-source.ts';
import { Engine } from '../../../server/engine/engine.ts';
import type { EngineObserver } from '../../../server/engine/observer.ts';
import { PUBLISHED_POLICY } from '../../../server/engine/policy.ts';
import type { BlockWatch } from '../../../server/engine/prefix-cache.ts';
import type { SequenceSink, SubmitResult } from '../../../server/engine/request.ts';
import { outputIdMin } from '../load.ts';

/** whole: it computes prompts and answers; prefill: prompts and the first token; decode: what follows, on KV that it is sent. */
export type NodeRole = 'whole' | 'prefill' | 'decode';

export interface NodeRequest {
  readonly tokens: Int32Array; // copied
  readonly outputTokens: number;
  readonly salt: string; // whose prefixes it may share
  readonly seed: number;
}

export class FleetNode {
  readonly index: number;
  readonly role: NodeRole;
  alive = true;
  openCount = 0; // requests on it
  #engine: Engine;
  readonly #device: SimDevice;
  readonly #clock: Clock;
  readonly #blocks: BlockWatch;

  constructor(
    { index, role }: { readonly index: number; readonly role: NodeRole },
    device: SimDevice,
    { clock, blocks }: { readonly clock: Clock; readonly blocks: BlockWatch },
  ) {
    this.index = index;
    this.role = role;
    this.#device = device;
    this.#clock = clock;
    this.#blocks = blocks;
    this.#engine = this.#start();
  }

  submit(request: NodeRequest, sink: SequenceSink): SubmitResult {
    this.openCount++;
    const { tokens, outputTokens, salt, seed } = request;
    const result = this.#engine.submit(
      {
        tokens,
        maxTokens: outputTokens,
        sampling: { ...greedySampling, seed },
        ...{ constraint: null, speculation: null, ignoreStopTokens: true, deadlineMs: null },
        ...{ priority: 'turn', cacheSalt: salt },
      },
      {
        onTokens: (drawn, at, logprobs) => sink.onTokens(drawn, at, logprobs),
        onEnd: (end) => {
          this.openCount--;
          sink.onEnd(end);
        },
      },
    );
    if (!result.ok) this.openCount--;
    return result;
  }

  /** All that is open on it fails, all that it has cached is lost. */
  lose(): void {
    this.alive = false;
    this.#engine.abortAll('the node was lost');
  }

  /** Empty, as after a restart. */
  revive(): void {
    this.#engine = this.#start();
    this.alive = true;
  }

  #start(): Engine {
    const device = this.#device;
    const tokens = new PlainTokens({ idMin: outputIdMin, idCount: outputIdMin - 1 });
    const timing = device.timing(this.#clock);
    const paced = this.role === 'decode' && !('start' in timing) ? decodeOnly(timing) : timing;
    const backend = simBackend(device, paced, { clock: this.#clock, tokens });
    const bounds = {
      prefillChunkTokens: device.prefillChunkTokens,
      prefillTokensPerStep: device.prefillTokensPerStep,
      ...PUBLISHED_POLICY,
      ...{ queueLengthMax, retryAfterMs: 1000 },
    };
    return new Engine(backend, this.#clock, bounds, { ...deaf, blocks: this.#blocks });
  }
}

const queueLengthMax = 100_000;
const nothingMs = 1e-3; // a step must take some time

// KV that has come over a link costs no step: of a prompt only its last token is computed, to draw what follows.
function decodeOnly(timing: { stepDurationMs(plan: StepPlan): number }) {
  return {
    stepDurationMs(plan: StepPlan): number {
      const rows = plan.rows.flatMap((row): StepRow[] => {
        if (row.sampleCount === 0) return [];
        if (row.tokens.length === 1) return [row];
        const before = row.tokens.length - 1;
        return [{ ...row, position: row.position + before, tokens: row.tokens.subarray(before) }];
      });
      return rows.length === 0 ? nothingMs : timing.stepDurationMs({ ...plan, rows });
    },
  };
}

const ignore = (): void => {};
const deaf: EngineObserver = {
  ...{ onRefusal: ignore, onSeat: ignore, onFirstToken: ignore, onTokenGap: ignore, onEnd: ignore },
  ...{ onPreemption: ignore, onEviction: ignore, onCold: ignore, onStep: ignore, onStepFailure: ignore },
  onKv: ignore,
  onRequestError: (error) => {
    throw error;
  },
};
