// PrefillPace: what a token of a prompt costs on this device, as its steps have shown so far: on one it is a hundredth of a
// millisecond, on another 14. Numbers only. Used by scheduler.ts.
import type { StepRow } from '../../kernels/backend.ts';

const KEPT = 0.75; // of what was known, at each step: about the last four count, long chunks more than short ones
const SURPRISE_MAX = 4; // times what was known that a step counts for: a machine that slept computed nothing meanwhile

export class PrefillPace {
  #decodeMs: number | null = null; // a step of decode rows, lately; null: never measured
  #tokenCount = 0; // of prompts, the latest weighing most
  #chunkMs = 0; // that they took

  /** Milliseconds; null: never measured. */
  get tokenMs(): number | null {
    return this.#tokenCount === 0 ? null : this.#chunkMs / this.#tokenCount;
  }

  /** A step has run, or the last round of it. */
  learn(rows: readonly StepRow[], deviceMs: number): void {
    let tokenCount = 0;
    let decodeCount = 0;
    for (const { tokens, sampleCount } of rows) {
      if (sampleCount > 1) return; // guesses, and prompts that are judged, cost something else
      if (tokens.length === 1) decodeCount++;
      else tokenCount += tokens.length;
    }
    if (tokenCount === 0) {
      this.#decodeMs = this.#decodeMs === null ? deviceMs : this.#decodeMs * KEPT + deviceMs * (1 - KEPT);
      return;
    }
    if (decodeCount > 0 && this.#decodeMs === null) return; // nobody can say what of it was the prompts'
    let chunkMs = Math.max(0, deviceMs - (decodeCount > 0 ? this.#decodeMs! : 0));
    const known = this.tokenMs ?? 0;
    if (known > 0) chunkMs = Math.min(chunkMs, SURPRISE_MAX * known * tokenCount);
    this.#tokenCount = this.#tokenCount * KEPT + tokenCount;
    this.#chunkMs = this.#chunkMs * KEPT + chunkMs;
  }
}
