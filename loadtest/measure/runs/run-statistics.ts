// RunStatistics: sums up a run as it goes, in memory that does not grow with it: histograms, counters, a bounded sample
// of sessions. A recorder of measure/play/driver.ts; measure/runs/run-report.ts reads it when the run is over (or was stopped).

import { HeatMap } from '../../statistics/heat-map.ts';
import { Histogram } from '../../statistics/histogram.ts';
import type { DriverRecorder, FinishedSession, FinishedTurn } from '../play/recorder.ts';
import { isGood, type Slo } from '../play/slo.ts';
import type { CountedBy } from '../play/timeline.ts';
import type { Outcome } from '../wires/target.ts';
import { LATENCY_KEYS, type LatencyKey } from './latencies.ts';
import { COUNTERS, type Counters, type LaneReport } from './report-schema.ts';
import { SessionSample } from './session-sample.ts';

const SAMPLE_TURNS_MAX = 50_000;
const ERROR_KINDS_MAX = 64;
const LANES_MAX = 28; // sessions drawn as swim lanes
const LANE_TURNS_MAX = 200;

export class RunStatistics implements DriverRecorder {
  readonly latencies = Object.fromEntries(LATENCY_KEYS.map((key) => [key, new Histogram()])) as Readonly<
    Record<LatencyKey, Histogram>
  >;
  readonly counters = Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Counters;
  readonly outcomes = new Map<Outcome, number>();
  readonly errors = new Map<string, number>(); // kind → turns
  readonly messages = new Map<string, string>(); // kind → the first message of that kind
  readonly countedBy = new Map<CountedBy, number>();
  readonly sample = new SessionSample(SAMPLE_TURNS_MAX);
  readonly stalls = new HeatMap();
  readonly lanes = new Map<
    number,
    Omit<LaneReport, 'turns'> & { readonly turns: LaneReport['turns'][number][] }
  >();
  lastEndMs = 0; // of counted turns
  readonly #slo: Slo;
  readonly #warmupMs: number;

  constructor(slo: Slo, warmupMs: number) {
    this.#slo = slo;
    this.#warmupMs = warmupMs;
  }

  onTurn(turn: FinishedTurn): boolean {
    const { measures, timeline, outcome, kind } = turn;
    const good = isGood(outcome, measures, this.#slo);
    if (outcome === 'unfinished') {
      this.counters.unfinishedTurns++;
      return good;
    }
    this.#draw(turn, good);
    if (timeline.intendedMs < this.#warmupMs) {
      this.counters.warmupTurns++;
      return good;
    }
    this.#count(turn, good);
    this.#measure(turn);
    this.sample.add({
      session: turn.session.index,
      turn: turn.turnIndex,
      intendedMs: timeline.intendedMs,
      // The latency of a steered answer starts at the key press and is reported under its own name.
      ttftMs: kind === 'turn' ? measures.ttftMs : null,
      ttfoMs: kind === 'turn' ? measures.ttfoMs : null,
      tpotMs: measures.tpotMs,
      stallMs: measures.stallMs,
      e2eMs: isAnswer(outcome) ? measures.e2eMs : null,
      good,
      failed: !isAnswer(outcome),
      inFlight: turn.inFlight,
    });
    return good;
  }

  onSession(finished: FinishedSession): void {
    if (finished.turnCount === 0 || finished.startMs < this.#warmupMs) return;
    const { counters, latencies } = this;
    counters.sessions++;
    if (finished.allGood) counters.goodSessions++;
    if (finished.failed) counters.skippedTurns += finished.plannedCount - finished.turnCount;
    if (!finished.complete) return;
    counters.completeSessions++;
    const makespanMs = finished.endMs - finished.startMs;
    latencies.makespan.record(makespanMs);
    latencies.toolGaps.record(finished.toolGapMs);
    latencies.humanGaps.record(finished.humanGapMs);
    latencies.sessionWait.record(makespanMs - finished.toolGapMs - finished.humanGapMs);
  }

  onShed(): void {
    this.counters.shedSessions++;
  }

  #count(
    { outcome, end, measures, planned, timeline, firstUsefulDiffMs, kind }: FinishedTurn,
    good: boolean,
  ): void {
    const { counters } = this;
    counters.turns++;
    if (good) counters.good++;
    bump(this.outcomes, outcome);
    bump(this.countedBy, measures.countedBy);
    this.lastEndMs = Math.max(this.lastEndMs, timeline.endMs);
    const tokenCount = measures.tokenCount ?? 0;
    counters.outputTokens += tokenCount;
    if (measures.tokenCount === null) counters.uncountedTurns++;
    counters.plannedPromptTokens += planned.promptTokens;
    if (end.errorKind !== null) this.#noteError(end.errorKind, end.message);
    if (end.cachedTokens !== null && end.promptTokens !== null && kind === 'turn') {
      counters.reportedPromptTokens += end.promptTokens;
      counters.cachedTokens += end.cachedTokens;
      counters.idealCachedTokens += planned.idealCachedTokens;
      counters.idealPromptTokens += planned.promptTokens;
    }
    if (end.acceptedTokens !== null) {
      counters.speculatedTokens += tokenCount;
      counters.acceptedTokens += end.acceptedTokens;
      counters.rejectedTokens += end.rejectedTokens ?? 0;
    }
    if (measures.stopToSilenceMs !== null) counters.interrupted++;
    counters.wastedTokens += measures.wastedTokens ?? 0;
    // Without a token it is ok only where answers come whole, and there are none to come.
    const isShort = measures.tokenCount !== null && tokenCount > 0 && tokenCount < planned.maxTokens;
    if (planned.exact && outcome === 'ok' && isShort) counters.shortAnswers++;
    if (planned.original !== null) {
      counters.editTurns++;
      if (firstUsefulDiffMs !== null) counters.usefulEdits++;
    }
  }

  #measure({ measures, timeline, outcome, end, kind, firstUsefulDiffMs }: FinishedTurn): void {
    const { latencies } = this;
    const note = (key: LatencyKey, ms: number | null) => {
      if (ms !== null) latencies[key].record(ms);
    };
    note(kind === 'steer' ? 'steerToFirst' : 'ttft', measures.ttftMs);
    if (kind === 'turn') note('ttfo', measures.ttfoMs);
    note('ttftFromSent', measures.ttftFromSentMs);
    note('tpot', measures.tpotMs);
    note('stall', measures.stallMs);
    // An instant refusal is no quick answer.
    note(isAnswer(outcome) ? 'e2e' : 'failure', measures.e2eMs);
    note('queue', end.queueMs);
    note('stopToSilence', measures.stopToSilenceMs);
    note('firstUsefulDiff', firstUsefulDiffMs);
    // A steer cannot be dispatched before the stopped answer has ended: that wait is the server's.
    if (kind === 'turn') note('dispatchLag', measures.dispatchLagMs);
    note('wireLag', measures.wireLagMs);
    const isCounted = measures.tokenCount !== null;
    if (isCounted) latencies.itlToken.record(0, timeline.firstBurstTokens - 1);
    timeline.eachGap((gapMs, tokenCount, atMs) => {
      latencies.itlBurst.record(gapMs);
      if (tokenCount > 0) latencies.itlToken.record(gapMs);
      latencies.itlToken.record(0, tokenCount - 1);
      this.stalls.add(atMs - gapMs, gapMs);
    });
  }

  #draw({ session, timeline, outcome }: FinishedTurn, good: boolean): void {
    let lane = this.lanes.get(session.index);
    if (lane === undefined) {
      if (this.lanes.size >= LANES_MAX) return;
      lane = { session: session.index, name: session.name, turns: [] };
      this.lanes.set(session.index, lane);
    }
    if (lane.turns.length >= LANE_TURNS_MAX) return;
    const { intendedMs, firstMs, endMs } = timeline;
    lane.turns.push({ intendedMs, firstMs, endMs, outcome, good });
  }

  #noteError(kind: string, message: string | null): void {
    const known = this.errors.has(kind) || this.errors.size < ERROR_KINDS_MAX;
    const key = known ? kind : 'other kinds';
    bump(this.errors, key);
    if (message !== null && !this.messages.has(key)) this.messages.set(key, message.slice(0, 300));
  }
}

/** Ended with what was asked for, or was stopped as planned. */
function isAnswer(outcome: Outcome): boolean {
  return outcome === 'ok' || outcome === 'interrupted';
}

function bump<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
