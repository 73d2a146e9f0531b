// Pipeline: the stages of the wafers in time. A token of one sequence, or a chunk of a prompt, walks through all
// stages (stage-times.ts); nobody overtakes. Tokens that wait at the entrance go before the next chunk, but a chunk
// gets its turn. Before it: wafer-device.ts.
import type { Clock } from '../../clock.ts';
import type { StageTimes, Work } from './walk.ts';

/** Work on its way: one decoded token, or one chunk of a prompt. */
export interface Passage extends Work {
  readonly entered: () => void; // called when the first stage has taken it, before the next one is chosen
  readonly leave: () => void; // called when it has left the last stage
}

export class Pipeline {
  readonly #clock: Clock;
  readonly #times: StageTimes;
  readonly #tokensPerChunk: number;
  readonly #freeAtMs: Float64Array; // [stage] when it can take the next passage
  readonly #busyMs: Float64Array; // [stage] since the start, blocked time not counted
  readonly #tokens = new Queue(); // decode
  readonly #chunks = new Queue(); // prefill, one of each prompt at a time
  #sinceChunk = 0; // decode tokens that entered since the last chunk
  #entranceOpen = true;
  #passageCount = 0;

  /** `tokensPerChunk`: waiting tokens that go between two chunks of prompts, ≥ 1. */
  constructor(clock: Clock, times: StageTimes, tokensPerChunk: number) {
    this.#clock = clock;
    this.#times = times;
    this.#tokensPerChunk = tokensPerChunk;
    this.#freeAtMs = new Float64Array(times.stageCount);
    this.#busyMs = new Float64Array(times.stageCount);
  }

  /** Passages that entered since the start. */
  get passageCount(): number {
    return this.#passageCount;
  }

  /** [stage] milliseconds at work since the start, up to what has entered. Live: read, do not keep. */
  get busyMs(): Readonly<Float64Array> {
    return this.#busyMs;
  }

  enter(passage: Passage): void {
    if (passage.tokenCount === 1) this.#tokens.push(passage);
    else this.#chunks.push(passage);
    if (this.#entranceOpen) this.#admit();
  }

  readonly #admitNext = (): void => this.#admit();

  #admit(): void {
    const passage = this.#choose();
    if (passage === undefined) {
      this.#entranceOpen = true;
      return;
    }
    this.#entranceOpen = false;
    const nowMs = this.#clock.nowMs();
    // Times of the whole way are known at the entrance, because nobody overtakes.
    const leftMs = this.#times.walk(passage, nowMs, this.#freeAtMs, this.#busyMs);
    this.#passageCount++;
    // The entrance opens when the first stage has handed over; whoever leaves the pipe just then comes first.
    passage.entered();
    if (passage.leave !== nobody) this.#clock.schedule(leftMs - nowMs, passage.leave);
    this.#clock.schedule(this.#freeAtMs[0]! - nowMs, this.#admitNext);
  }

  #choose(): Passage | undefined {
    const chunkFirst = this.#sinceChunk >= this.#tokensPerChunk;
    const passage = chunkFirst
      ? (this.#chunks.shift() ?? this.#tokens.shift())
      : (this.#tokens.shift() ?? this.#chunks.shift());
    if (passage !== undefined) this.#sinceChunk = passage.tokenCount > 1 ? 0 : this.#sinceChunk + 1;
    return passage;
  }
}

/** For passages that nobody waits for. */
export function nobody(): void {}

// First in, first out, in constant time.
class Queue {
  #items: (Passage | undefined)[] = [];
  #head = 0;

  push(item: Passage): void {
    this.#items.push(item);
  }

  shift(): Passage | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#items[this.#head++] = undefined; // a passage holds on to its step; it must not outlive it here
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
