// TurnMessage: a finished turn on its way from a thread that played it to the one that counts: plain data, without its content. Pure.
import type { FinishedSession, FinishedTurn } from '../play/recorder.ts';
import { type Bursts, eachGapOf } from '../play/timeline.ts';

type Plain = Pick<
  FinishedTurn,
  'turnIndex' | 'kind' | 'outcome' | 'end' | 'measures' | 'firstUsefulDiffMs' | 'inFlight'
>;

export interface TurnMessage extends Plain {
  readonly session: FinishedTurn['session'];
  readonly planned: FinishedTurn['planned'];
  readonly times: Omit<FinishedTurn['timeline'], 'bursts' | 'eachGap'>;
  readonly bursts: Bursts;
}

/** What a thread says; `done`: the last turn has ended. */
export type WorkerMessage =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'finished';
      readonly turns: readonly TurnMessage[];
      readonly sessions: readonly FinishedSession[];
      readonly shed: number;
    }
  | {
      readonly kind: 'done';
      readonly loopDelay: import('../../statistics/histogram.ts').HistogramData;
      readonly ranOut: boolean;
    }
  | { readonly kind: 'failed'; readonly message: string };

export function messageOf(turn: FinishedTurn): TurnMessage {
  const { turnIndex, kind, outcome, end, measures, firstUsefulDiffMs, inFlight, timeline, planned } = turn;
  const { index, name } = turn.session;
  const { promptTokens, idealCachedTokens, maxTokens, exact, original } = planned;
  const { intendedMs, dispatchedMs, sentMs, firstMs, lastMs, endMs, firstBurstTokens } = timeline;
  return {
    ...{ turnIndex, kind, outcome, end, measures, firstUsefulDiffMs, inFlight },
    session: { index, name },
    planned: { promptTokens, idealCachedTokens, maxTokens, exact, original },
    times: { intendedMs, dispatchedMs, sentMs, firstMs, lastMs, endMs, firstBurstTokens },
    bursts: { ms: Float64Array.from(timeline.bursts.ms), tokens: Int32Array.from(timeline.bursts.tokens) },
  };
}

export function turnOf({ times, bursts, ...turn }: TurnMessage): FinishedTurn {
  return { ...turn, timeline: { ...times, bursts, eachGap: (fn) => eachGapOf(bursts, fn) } };
}
