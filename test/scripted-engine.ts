// A small, real SequenceEngine for tests of everything above the engine: seats, a bounded queue, one step at a
// time on the clock, tokens from a script instead of a model. Deterministic; knows nothing of KV.
import type { TokenLogprobs } from '../kernels/backend.ts';
import type { Clock, Timer } from '../kernels/clock.ts';
import type {
  SequenceEnd,
  SequenceEngine,
  SequenceRequest,
  SequenceSink,
  SubmitResult,
} from '../server/engine/request.ts';

/** What one sequence will say, decided when it is submitted. */
export interface Script {
  readonly tokens: readonly number[]; // then 'length' if maxTokens cut them, else 'stop'
  readonly failure?: SequenceEnd['failure']; // instead of the normal end
  readonly logprobs?: (token: number, index: number) => TokenLogprobs;
}

export interface ScriptedEngineOptions {
  readonly clock: Clock;
  readonly script: (request: SequenceRequest) => Script;
  readonly contextTokensMax?: number;
  readonly slotCount?: number;
  readonly queueLengthMax?: number;
  readonly stepMs?: number;
  readonly tokensPerStep?: number; // as if drafts had been accepted
  readonly cachedTokens?: number;
}

interface Running {
  readonly id: number;
  readonly request: SequenceRequest;
  readonly sink: SequenceSink;
  readonly script: Script;
  readonly submittedMs: number;
  seatedMs: number | null;
  deadline: Timer | null;
  delivered: number;
  paused: boolean;
  cancelled: boolean;
  expired: boolean;
}

export class ScriptedEngine implements SequenceEngine {
  readonly contextTokensMax: number;
  readonly #options: ScriptedEngineOptions;
  readonly #sequences = new Map<number, Running>(); // in order of submission: the first slotCount are seated
  readonly #idleCallbacks: (() => void)[] = [];
  #nextId = 1;
  #stepping = false;
  #draining = false;

  constructor(options: ScriptedEngineOptions) {
    this.#options = options;
    this.contextTokensMax = options.contextTokensMax ?? 4096;
  }

  /** Sequences that have not ended. */
  get activeCount(): number {
    return this.#sequences.size;
  }

  /** Who sits. */
  get load() {
    const { slotCount = 4 } = this.#options;
    const seated = [...this.#sequences.values()].slice(0, slotCount);
    const seats = seated.map(({ request, delivered }, slot) => ({
      ...{ replica: 0, slot, cachedTokens: 0, outputTokens: delivered, outputTokensMax: request.maxTokens },
      ...{ promptTokens: request.tokens.length, computedTokens: request.tokens.length },
    }));
    return { seats };
  }

  /** Of these, those whose readers are slow. */
  get pausedCount(): number {
    return [...this.#sequences.values()].filter(({ paused }) => paused).length;
  }

  submit(request: SequenceRequest, sink: SequenceSink): SubmitResult {
    const { clock, slotCount = 4, queueLengthMax = 16 } = this.#options;
    const refuse = (
      reason: 'queue-full' | 'prompt-too-long' | 'draining',
      message: string,
      retryAfterMs: number | null,
    ) => ({ ok: false, reason, message, retryAfterMs }) as const;
    if (this.#draining) return refuse('draining', 'the server is shutting down', null);
    if (request.tokens.length >= this.contextTokensMax) {
      const message = `the prompt has ${request.tokens.length} tokens, at most ${this.contextTokensMax - 1} fit`;
      return refuse('prompt-too-long', message, null);
    }
    if (this.#sequences.size >= slotCount + queueLengthMax) {
      return refuse('queue-full', `${queueLengthMax} sequences are waiting already`, 1500);
    }
    const running: Running = {
      id: this.#nextId++,
      request: { ...request, tokens: request.tokens.slice() },
      sink,
      script: untilStop(this.#options.script(request), request),
      submittedMs: clock.nowMs(),
      seatedMs: null,
      deadline: null,
      delivered: 0,
      paused: false,
      cancelled: false,
      expired: false,
    };
    if (request.deadlineMs !== null) {
      running.deadline = clock.schedule(request.deadlineMs - clock.nowMs(), () => {
        running.expired = true;
        this.#wake();
      });
    }
    this.#sequences.set(running.id, running);
    this.#wake();
    return { ok: true, sequenceId: running.id };
  }

  cancel(sequenceId: number): void {
    const running = this.#sequences.get(sequenceId);
    if (running === undefined) return;
    running.cancelled = true;
    this.#wake();
  }

  pause(sequenceId: number): void {
    const running = this.#sequences.get(sequenceId);
    if (running !== undefined) running.paused = true;
  }

  resume(sequenceId: number): void {
    const running = this.#sequences.get(sequenceId);
    if (running === undefined) return;
    running.paused = false;
    this.#wake();
  }

  drain(onIdle: () => void): void {
    this.#draining = true;
    if (this.#sequences.size === 0) this.#options.clock.defer(onIdle);
    else this.#idleCallbacks.push(onIdle);
  }

  abortAll(message: string): void {
    this.#draining = true;
    for (const running of [...this.#sequences.values()]) {
      this.#end(running, { reason: 'failed', failure: { code: 'shutdown', message } });
    }
  }

  #wake(): void {
    if (this.#stepping || this.#sequences.size === 0) return;
    this.#stepping = true;
    this.#options.clock.schedule(this.#options.stepMs ?? 1, () => this.#step());
  }

  #step(): void {
    this.#stepping = false;
    const { clock, slotCount = 4 } = this.#options;
    let progressed = false;
    for (const [seat, running] of [...this.#sequences.values()].entries()) {
      if (running.cancelled) this.#end(running, { reason: 'cancelled', failure: null });
      else if (running.expired) this.#end(running, { reason: 'failed', failure: DEADLINE });
      else if (seat < slotCount && !running.paused) {
        running.seatedMs ??= clock.nowMs();
        this.#advance(running);
        progressed = true;
      }
    }
    if (progressed) this.#wake();
  }

  #advance(running: Running): void {
    const { request, script, sink } = running;
    const limit = Math.min(
      script.tokens.length,
      request.maxTokens,
      this.contextTokensMax - request.tokens.length,
    );
    const index = running.delivered;
    if (index === 0 && (request.promptLogprobs ?? null) !== null && script.logprobs !== undefined) {
      const judged = Array.from(request.tokens.subarray(1), (token, i) => script.logprobs!(token, i + 1));
      sink.onPrompt?.(judged.map((one) => ({ ...one, rank: 1 })));
    }
    const tokens = script.tokens.slice(index, Math.min(limit, index + (this.#options.tokensPerStep ?? 1)));
    if (tokens.length > 0) {
      running.delivered += tokens.length;
      const { logprobs } = script;
      const asked = request.sampling.logprobs !== null && logprobs !== undefined;
      sink.onTokens(tokens, index, asked ? tokens.map((token, i) => logprobs(token, index + i)) : null);
    }
    if (running.cancelled || running.delivered < limit) return; // cancelled by its sink: ends at the next step
    if (script.failure) this.#end(running, { reason: 'failed', failure: script.failure });
    else this.#end(running, { reason: limit < script.tokens.length ? 'length' : 'stop', failure: null });
  }

  #end(running: Running, end: Pick<SequenceEnd, 'reason' | 'failure'>): void {
    if (!this.#sequences.delete(running.id)) return;
    running.deadline?.cancel();
    running.sink.onEnd({
      ...end,
      usage: {
        promptTokens: running.request.tokens.length,
        cachedTokens: this.#options.cachedTokens ?? 0,
        outputTokens: running.delivered,
        acceptedDraftTokens: 0,
        rejectedDraftTokens: 0,
        queueMs: (running.seatedMs ?? this.#options.clock.nowMs()) - running.submittedMs,
      },
    });
    if (this.#sequences.size > 0) return;
    for (const onIdle of this.#idleCallbacks.splice(0)) onIdle();
  }
}

/** Ends with the first token that the request stops at. */
function untilStop(
  script: Script,
  { ignoreStopTokens, sampling: { stopTokenIds }, endsWith = null }: SequenceRequest,
): Script {
  const end = script.tokens.findIndex(
    (token) => endsWith?.(token) || (!ignoreStopTokens && stopTokenIds.includes(token)),
  );
  return end < 0 ? script : { ...script, tokens: script.tokens.slice(0, end + 1) };
}

const DEADLINE = { code: 'deadline', message: "the request's time ran out" } as const;
