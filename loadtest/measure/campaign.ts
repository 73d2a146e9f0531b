// Campaign: does what the settings ask: one run, a sweep, a capacity search or a comparison; writes the reports and
// judges the gates.
import { basename, dirname } from 'node:path';
import { VirtualClock } from '../../kernels/clock.ts';
import { describeLoad, type Load, loadNameOf, withRate } from '../workload/arrival.ts';
import type { LoadtestIo, ReportFile } from './io.ts';
import { CSV_HEADER, turnLine } from './report/csv.ts';
import { junitXml } from './report/junit.ts';
import { watch } from './report/live-view.ts';
import { otlpMetrics } from './report/otlp.ts';
import { reportPage } from './report/page.ts';
import { remoteWriteBody, remoteWriteHeaders } from './report/remote-write.ts';
import { comparisonTable, formulaLines, gateTable, runTable, sweepTable } from './report/table.ts';
import { startComparison } from './runs/comparison.ts';
import { type GateResult, judgeComparison, judgeRun } from './runs/gate.ts';
import type { ComparisonReport, RunReport, SweepReport } from './runs/report-schema.ts';
import { type ActiveRun, type RunParts, type RunPlan, startRun } from './runs/run.ts';
import { capacitySearch, type RunAt, sweep } from './runs/sweep.ts';
import type { Settings } from './settings.ts';
import { openStage, pump, type Stage } from './stage.ts';
import type { ServerAddress } from './wires/address.ts';
import { realWires } from './wires/catalog.ts';
import { post, postBytes } from './wires/probe.ts';
import type { Target } from './wires/target.ts';
import type { HttpWire } from './wires/wire.ts';
import { startSharedRun } from './workers/shared-run.ts';

const VOID_TRIES = 3; // of one load in a sweep or search

/** Resolves with the exit code: 0, or 1 when a gate failed or nothing was counted. Rejects with what is wrong with flags, traces or server. */
export async function runCampaign(settings: Settings, io: LoadtestIo): Promise<number> {
  const stage = await openStage(settings, io);
  let stopped = false;
  const campaign = new Campaign(settings, io, stage, () => stopped);
  const ignore = io.onInterrupt(() => {
    if (!stopped)
      io.note('\nstopping: what was measured so far is reported; Ctrl-C again to give up at once\n');
    stopped = true;
    campaign.stop();
    ignore(); // the second one ends the process
  });
  try {
    return await campaign.play();
  } finally {
    ignore();
    await stage.close();
  }
}

class Campaign {
  readonly #settings: Settings;
  readonly #io: LoadtestIo;
  readonly #stage: Stage;
  readonly #isStopped: () => boolean;
  #stopActive: () => void = () => {};
  #csv: ReportFile | null = null;
  #runCount = 0;

  constructor(settings: Settings, io: LoadtestIo, stage: Stage, isStopped: () => boolean) {
    this.#settings = settings;
    this.#io = io;
    this.#stage = stage;
    this.#isStopped = isStopped;
  }

  stop(): void {
    this.#stopActive();
  }

  async play(): Promise<number> {
    const { settings, stage } = { settings: this.#settings, stage: this.#stage };
    if (stage.other !== null) return this.#finish({ comparison: await this.#compare(stage.other) });
    if (settings.outDirectory !== null) {
      this.#csv = this.#io.openFile(settings.outDirectory, 'turns.csv');
      this.#csv.append(CSV_HEADER);
    }
    const runAt: RunAt = (value) => this.#runUntilValid(value, settings.load);
    if (settings.sweeps.length > 0) {
      const sweeps: SweepReport[] = [];
      for (const { load, values } of settings.sweeps) {
        if (this.#isStopped()) break;
        const at: RunAt = (value) => this.#runUntilValid(value, load);
        sweeps.push(await sweep(values, loadNameOf(load), at, this.#isStopped));
      }
      return this.#finish({ sweeps });
    }
    if (settings.capacity !== null) {
      const { tolerance, repeats } = settings;
      const goal = { goodShareMin: settings.goal, search: { ...settings.capacity, tolerance, repeats } };
      return this.#finish({
        sweeps: [await capacitySearch(goal, loadNameOf(settings.load), runAt, this.#isStopped)],
      });
    }
    return this.#finish({ run: await this.#run(settings.load) });
  }

  // A void run says nothing about the server: it is tried again before it counts.
  async #runUntilValid(value: number, base: Load): Promise<RunReport> {
    const load = withRate(base, value);
    let report = await this.#run(load);
    for (let tries = 1; tries < VOID_TRIES && report.validity.isVoid && !this.#isStopped(); tries++) {
      this.#io.note(`void, once more: ${report.validity.reasons.join('; ')}\n`);
      report = await this.#run(load);
    }
    return report;
  }

  async #run(load: Load): Promise<RunReport> {
    const { clock, target, workload, countTokens, surroundings, live } = this.#stage;
    const settings = this.#settings;
    // A trace is replayed once. All runs draw the same arrivals, stretched to their rate, so that they differ in load and
    // in the machine's mood only; each has content of its own, or it would find the last run's in the cache.
    const passMax = load.kind === 'trace' ? workload.sessionCount : Number.POSITIVE_INFINITY;
    const plan: RunPlan = {
      ...settings,
      load,
      sessionsMax: Math.min(settings.sessionsMax, passMax),
      salt: this.#runCount++,
    };
    const csv = this.#csv;
    const onTurn: RunParts['onTurn'] =
      csv === null ? null : (turn, judged) => csv.append(turnLine(turn, judged));
    const parts = { clock, target, workload, countTokens, surroundings, onTurn };
    const title = `${target.name} · ${workload.name} · ${describeLoad(load)}`;
    if (live === null) this.#io.note(`${title} …\n`);
    let unwatch = () => {};
    const scraper = this.#stage.openScraper();
    scraper?.start();
    const report = new Promise<RunReport>((resolve) => {
      const run = this.#startRun(plan, parts, resolve);
      this.#stopActive = () => run.stop();
      const about = { title, plannedMs: plan.durationMs, warmupMs: plan.warmupMs };
      if (live !== null) unwatch = watch(run, about, live, clock);
    });
    if (clock instanceof VirtualClock) await pump(clock, this.#io, report);
    const finished = await report;
    unwatch();
    this.#stopActive = () => {};
    const whole = scraper === null ? finished : { ...finished, serverMetrics: await scraper.stop() };
    await this.#tell(whole);
    return whole;
  }

  #startRun(plan: RunPlan, parts: RunParts, onReport: (report: RunReport) => void): ActiveRun {
    const { workers, flags } = this.#settings;
    if (workers === 1) return startRun(plan, parts, onReport);
    const { apiKey, model } = { apiKey: this.#io.apiKey, model: parts.surroundings.model };
    return startSharedRun(plan, parts, { workers, flags: { ...flags, model }, apiKey }, onReport);
  }

  /** A collector that is not there costs a line, not the run. */
  async #tell(report: RunReport): Promise<void> {
    const { otlp, remoteWrite } = this.#settings;
    const epochMs = this.#io.epochMs();
    // An address with a path of its own is that path.
    const pathOf = ({ text, origin }: ServerAddress, own: string): string => (text === origin ? own : '/v1');
    await this.#tellOne('otlp', otlp, (wire, address) =>
      post(wire, {}, pathOf(address, '/v1/metrics'), otlpMetrics(report, epochMs)),
    );
    await this.#tellOne('remote-write', remoteWrite, (wire, address) => {
      const body = remoteWriteBody(report, epochMs);
      return postBytes(wire, remoteWriteHeaders, pathOf(address, '/api/v1/write'), body);
    });
  }

  async #tellOne(
    flag: string,
    address: ServerAddress | null,
    send: (wire: HttpWire, address: ServerAddress) => ReturnType<typeof post>,
  ): Promise<void> {
    if (address === null) return;
    const wire = realWires(address, this.#settings.connection, 1).http();
    const { status, failure } = await send(wire, address);
    wire.close();
    if (failure !== null || status >= 300)
      this.#io.note(`--${flag} ${address.text}: ${failure ?? `answered ${status}`}\n`);
  }

  async #compare(other: Target): Promise<ComparisonReport> {
    const { clock, target, workload, countTokens, surroundings } = this.#stage;
    const { blocks, seed, slo, turnTimeoutMs, gapMsMax } = this.#settings;
    const warmupBlocks = Math.max(1, Math.round(blocks * 0.1));
    const plan = { blocks, warmupBlocks, seed, slo, turnTimeoutMs, gapMsMax: Math.min(gapMsMax, 50) };
    const report = new Promise<ComparisonReport>((resolve) => {
      const onBlock = (done: number, all: number) => this.#io.note(`ABBA block ${done} of ${all}\n`);
      const parts = { clock, a: target, b: other, workload, countTokens, surroundings, onBlock };
      const active = startComparison(plan, parts, resolve);
      this.#stopActive = () => active.stop();
    });
    if (clock instanceof VirtualClock) await pump(clock, this.#io, report);
    return report;
  }

  #finish(results: {
    run?: RunReport;
    sweeps?: readonly SweepReport[];
    comparison?: ComparisonReport;
  }): number {
    const { run = null, sweeps = [], comparison = null } = results;
    this.#stage.live?.close();
    const write = (text: string) => this.#io.write(text);
    const shown = run ?? detailOf(sweeps);
    const gates = this.#judge(shown, comparison);
    if (comparison !== null) write(comparisonTable(comparison));
    for (const swept of sweeps) write(`${sweepTable(swept)}\n`);
    if (shown !== null) write(runTable(shown));
    write(gateTable(gates));
    if (shown !== null) write(`\n${formulaLines(shown)}`);
    this.#csv?.close();
    const { outDirectory } = this.#settings;
    const page = reportPage({ run: shown, sweeps, comparison, gates });
    this.#io.keepReport?.('loadtest', page, null);
    if (outDirectory !== null) {
      const many = { format: 'sparklane loadtest sweeps', formatVersion: 1, sweeps };
      const json = { ...(comparison ?? (sweeps.length > 1 ? many : (sweeps[0] ?? run))), gates };
      this.#save(outDirectory, 'report.json', `${JSON.stringify(json, null, 1)}\n`);
      this.#save(outDirectory, 'report.html', page);
      write(
        `\nreports in ${outDirectory}: report.html, report.json${this.#csv === null ? '' : ', turns.csv'}\n`,
      );
    }
    this.#writeJunit(shown, comparison, gates);
    const aborted = shown?.stopReason?.startsWith('aborted') === true;
    // Who asked for a test and got none is told so; who stopped it knows.
    const isEmpty = shown !== null && shown.counters.turns === 0 && shown.stopReason === null;
    return gates.every(({ passed }) => passed) && !aborted && !isEmpty ? 0 : 1;
  }

  #writeJunit(
    run: RunReport | null,
    comparison: ComparisonReport | null,
    gates: readonly GateResult[],
  ): void {
    const { junitPath } = this.#settings;
    if (junitPath === null) return;
    const name =
      run === null
        ? `${comparison?.a} against ${comparison?.b}`
        : `${run.provenance.target}, ${run.provenance.load}`;
    const stopReason = run?.stopReason ?? (comparison?.partial === true ? 'stopped by hand' : null);
    const seconds = (run?.windowMs ?? 0) / 1000;
    const xml = junitXml({ name, seconds, validity: run?.validity ?? null, stopReason, gates });
    this.#save(dirname(junitPath), basename(junitPath), xml);
  }

  #judge(run: RunReport | null, comparison: ComparisonReport | null): GateResult[] {
    const { gates } = this.#settings;
    if (comparison !== null) return judgeComparison(gates, comparison);
    return run === null ? [] : judgeRun(gates, run);
  }

  #save(directory: string, name: string, text: string): void {
    const file = this.#io.openFile(directory, name);
    file.append(text);
    file.close();
  }
}

/** The run of a sweep that is shown in full: at the capacity, else the one with the most goodput. */
function detailOf(sweeps: readonly SweepReport[]): RunReport | null {
  const [swept] = sweeps;
  const atCapacity = swept?.points.find(
    ({ load, passed }) => passed === true && load === swept.capacity?.load,
  );
  if (atCapacity !== undefined) return atCapacity.report;
  const goodput = ({ report }: SweepReport['points'][number]) => report.rates.goodputPerSecond.value ?? 0;
  const points = sweeps.flatMap((one) => one.points);
  return [...points].sort((a, b) => goodput(b) - goodput(a))[0]?.report ?? null;
}
