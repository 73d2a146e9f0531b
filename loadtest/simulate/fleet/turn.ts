// Turn: one question through a fleet: to the node that the router names, or first to one that computes its prompt and then, with the
// KV, to one that answers; again from the beginning where a node is lost on the way. Before it: fleet.ts.
import type { SequenceEnd, SequenceSink } from '../../../server/engine/request.ts';
import type { FleetNode } from './fleet-node.ts';
import type { FleetState } from './fleet-state.ts';
import { pathsOf } from './prefix-index.ts';

export interface FleetTurn {
  readonly session: number;
  readonly salt: string;
  readonly tokens: Int32Array;
  readonly outputTokens: number;
}

const againMs = 1000; // until a client that has lost its node, or finds none, asks again

/** Plays it now; `done` once it is answered, however often it had to be asked. */
export function playTurn(state: FleetState, turn: FleetTurn, done: () => void): void {
  const attempt = new Attempt(state, turn, state.clock.nowMs(), done);
  attempt.begin();
}

class Attempt {
  readonly #state: FleetState;
  readonly #turn: FleetTurn;
  readonly #sentMs: number;
  readonly #done: () => void;
  readonly #paths: readonly number[];
  #firstMs = -1;
  #cachedTokens = 0;

  constructor(state: FleetState, turn: FleetTurn, sentMs: number, done: () => void) {
    this.#state = state;
    this.#turn = turn;
    this.#sentMs = sentMs;
    this.#done = done;
    const looks = state.router.readsPrefixes || state.answers !== null;
    this.#paths = looks ? pathsOf(turn.tokens, turn.salt, state.blockSize) : [];
  }

  begin(): void {
    const { router, prompts, answers } = this.#state;
    const { session, outputTokens } = this.#turn;
    const node = router.choose(prompts, { session, paths: this.#paths });
    if (node === null) {
      this.#again();
      return;
    }
    const split = answers !== null && outputTokens > 1;
    this.#ask(node, split ? 1 : outputTokens, (end) => {
      this.#cachedTokens = end.usage.cachedTokens;
      this.#state.computedTokens[node.index]! += end.usage.promptTokens - end.usage.cachedTokens;
      if (split) this.#handOver(node);
      else this.#answered();
    });
  }

  // Blocks that the answering node has from the turn before need not come again.
  #handOver(from: FleetNode): void {
    const { router, answers, links, index, kvBytesPerToken, blockSize } = this.#state;
    const { session, tokens, outputTokens } = this.#turn;
    const node = router.choose(answers!, { session, paths: this.#paths });
    if (node === null) {
      this.#again();
      return;
    }
    const there = index.matched(node.index, this.#paths) * blockSize;
    links!.send(from.index, node.index, (tokens.length - there) * kvBytesPerToken, () => {
      if (node.alive) this.#ask(node, outputTokens - 1, () => this.#answered());
      else this.#again();
    });
  }

  #ask(node: FleetNode, outputTokens: number, through: (end: SequenceEnd) => void): void {
    const { clock } = this.#state;
    const { tokens, salt } = this.#turn;
    const sink: SequenceSink = {
      onTokens: () => {
        if (this.#firstMs < 0) this.#firstMs = clock.nowMs();
      },
      onEnd: (end) => {
        if (end.reason === 'failed') this.#again();
        else through(end);
      },
    };
    const request = { tokens, outputTokens, salt, seed: this.#state.nextSeed++ };
    if (!node.submit(request, sink).ok) this.#again();
  }

  #again(): void {
    const { clock, tally } = this.#state;
    if (tally.counting) tally.retryCount++;
    clock.schedule(againMs, () => this.begin());
  }

  #answered(): void {
    const { clock, tally } = this.#state;
    const { tokens, outputTokens } = this.#turn;
    const endMs = clock.nowMs();
    tally.answered({
      ttftMs: this.#firstMs - this.#sentMs,
      e2eMs: endMs - this.#sentMs,
      tpotMs: outputTokens < 2 ? 0 : (endMs - this.#firstMs) / (outputTokens - 1),
      promptTokens: tokens.length,
      cachedTokens: this.#cachedTokens,
      outputTokens,
    });
    this.#done();
  }
}
