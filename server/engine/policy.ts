// Policy: the order in which waiting requests are taken, as settings of the scheduler. One place for the server and for
// simulations of it. Read by compose.ts and the simulator.
import type { SchedulerBounds } from './scheduler.ts';

type Policy = Pick<SchedulerBounds, 'overtakeMsPerToken' | 'overtakeMsMax' | 'classDelayMs'>;

/**
 * What serves. A prompt may be overtaken by one that came later by what the tokens cost that it is shorter, so that nobody
 * waits longer for a shorter neighbour than for a longer one: 0.2 ms each until the device has shown its own cost, and
 * never less; but for a minute at most.
 * A title or a warm-up yields to a person's turn for about as long as a person notices; prefill ahead of a question
 * yields longer, but not for ever.
 */
export const SERVED_POLICY: Policy = {
  overtakeMsPerToken: 0.2,
  overtakeMsMax: 60_000,
  classDelayMs: { turn: 0, side: 250, background: 2000 },
};

/** First come, first served, as the published systems do: what simulations are held against. */
export const PUBLISHED_POLICY: Policy = {
  overtakeMsPerToken: 0,
  classDelayMs: { turn: 0, side: 0, background: 1e12 },
};
