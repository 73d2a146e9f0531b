// SessionSample: whole sessions kept for intervals and charts, in bounded memory. Every session is kept until there are
// too many turns; then a seeded half of the sessions is dropped, and the same half of all later ones. Unbiased by session.
import { mix32 } from '../../../kernels/random.ts';
import type { TurnSample } from './report-schema.ts';

const UINT32 = 2 ** 32;

export class SessionSample {
  readonly #turnsMax: number;
  readonly #sessions = new Map<number, TurnSample[]>();
  #turnCount = 0;
  #threshold = UINT32;

  constructor(turnsMax: number) {
    this.#turnsMax = turnsMax;
  }

  add(sample: TurnSample): void {
    if (mix32(sample.session) >= this.#threshold) return;
    const turns = this.#sessions.get(sample.session);
    if (turns === undefined) this.#sessions.set(sample.session, [sample]);
    else turns.push(sample);
    this.#turnCount++;
    while (this.#turnCount > this.#turnsMax && this.#threshold > 1) this.#halve();
  }

  /** Share of the sessions that are in the sample, in (0, 1]. */
  get share(): number {
    return this.#threshold / UINT32;
  }

  /** [session][turn] */
  get clusters(): readonly (readonly TurnSample[])[] {
    return [...this.#sessions.values()];
  }

  #halve(): void {
    this.#threshold = Math.floor(this.#threshold / 2);
    for (const [session, turns] of this.#sessions) {
      if (mix32(session) < this.#threshold) continue;
      this.#sessions.delete(session);
      this.#turnCount -= turns.length;
    }
  }
}
