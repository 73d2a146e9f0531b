// Campaign: does what the settings ask: one run, a sweep, a capacity search or a comparison; writes the reports and
// judges the gates.
import { basename, dirname } from 'node:path';
import { type Clock, VirtualClock } from '../../kernels/clock.ts';
import { resolveModel } from '../../models/model.ts';
import { Tokenizer } from '../../models/tokenizer.ts';
import { packageVersion } from '../../server/base/package-version.ts';
import { describeLoad, type Load, loadNameOf, withRate } from '../workload/arrival.ts';
import { openWorkload } from '../workload/catalog.ts';
import { fillerText } from '../workload/filler.ts';
import type { Workload } from '../workload/turn.ts';
import type { LoadtestIo, ReportFile } from './io.ts';
import { CSV_HEADER, turnLine } from './report/csv.ts';
import { junitXml } from './report/junit.ts';
import { type LiveScreen, watch } from './report/live-view.ts';
import { otlpMetrics } from './report/otlp.ts';
import { reportPage } from './report/page.ts';
import { comparisonTable, formulaLines, gateTable, runTable, sweepTable } from './report/table.ts';
import { type ComparisonReport, startComparison } from './runs/comparison.ts';
import { type GateResult, judgeComparison, judgeRun } from './runs/gate.ts';
import { type RunPlan, type RunWorld, type Surroundings, startRun } from './runs/run.ts';
import type { RunReport } from './runs/run-report.ts';
import { Scraper } from './runs/scrape.ts';
import { capacitySearch, type RunAt, type SweepReport, sweep } from './runs/sweep.ts';
import type { Settings, TargetSettings } from './settings.ts';
import { headersOf, openTarget, realWires, type Wires } from './wires/catalog.ts';
import type { ContentOptions } from './wires/content.ts';
import { startInProcess } from './wires/own-server.ts';
import { post, probeServer, type ServerFacts } from './wires/probe.ts';
import type { Target } from './wires/target.ts';

const STEPS_PER_BREATH = 1000;
const VOID_TRIES = 3; // of one load in a sweep or search
const CHARACTERS_PER_TOKEN = 3.5; // of code, where no tokenizer is at hand; an estimate

/** Resolves with the exit code: 0, or 1 when a gate failed. Rejects with what is wrong with flags, traces or server. */
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

/** What all runs of a campaign share. */
interface Stage {
  readonly clock: Clock;
  readonly target: Target;
  readonly other: Target | null;
  readonly workload: Workload;
  readonly countTokens: ((text: string) => number) | null;
  readonly surroundings: Surroundings;
  readonly live: LiveScreen | null;
  /** Of the server's own metrics, one for each run; null: not asked for. */
  openScraper(): Scraper | null;
  close(): Promise<void>;
}

async function openStage(settings: Settings, io: LoadtestIo): Promise<Stage> {
  const { inProcess, seed } = settings;
  const virtual = inProcess?.virtual === true;
  const clock = virtual ? new VirtualClock() : io.clock;
  const server =
    inProcess === null
      ? null
      : await startInProcess({
          model: settings.model ?? 'spark-nano',
          device: inProcess.device,
          seed,
          clock,
          epochMs: virtual ? () => 0 : () => io.epochMs(),
          write: (line) => io.note(line),
        });
  const apiKey = settings.apiKey ?? io.apiKey;
  const facts = server !== null || settings.model !== null ? null : await probe(settings, apiKey);
  const model = server?.model.name ?? settings.model ?? facts!.model;
  const tokenizer = server?.model.tokenizer ?? findTokenizer(settings.tokenizer, model);
  const countTokens = tokenizer === null ? null : (text: string) => tokenizer.encode(text).length;
  const content = contentOptions(tokenizer);
  const open = ({ kind, address }: TargetSettings): Target => {
    const wires: Wires =
      server?.wires ?? realWires(address!, settings.connection, settings.sessionsInFlightMax);
    const where = address?.text ?? 'this process';
    return openTarget({ ...settings, kind, address: where, apiKey, model, content }, wires, clock);
  };
  const target = open(settings.target);
  const other = settings.other === null ? null : open(settings.other);
  const workload = await openWorkload({
    ...settings,
    name: settings.workload,
    countTokens: countTokens ?? ((text) => Math.ceil(text.length / CHARACTERS_PER_TOKEN)),
  });
  const live = settings.showLive && !virtual ? io.openLive() : null;
  return {
    clock,
    target,
    other,
    workload,
    countTokens,
    live,
    openScraper: () => scraperOf(settings, { wires: server?.wires ?? null, apiKey, clock }),
    surroundings: {
      command: io.commandLine,
      startedAt: virtual ? '' : new Date(io.epochMs()).toISOString(),
      device: server?.device ?? (facts === null ? 'unknown' : `served by ${facts.owner}`),
      model,
      clock: virtual ? 'simulated, virtual clock' : 'measured, wall clock',
      machine: virtual ? 'virtual time: the machine does not matter' : io.machine,
      node: io.nodeVersion,
      version: packageVersion(),
    },
    close: async () => {
      live?.close();
      target.close();
      other?.close();
      if (server === null) return;
      const stopping = server.stop();
      if (clock instanceof VirtualClock) await pump(clock, io, stopping);
      await stopping;
    },
  };
}

function scraperOf(
  { scrape, target, connection, headers }: Settings,
  { wires, apiKey, clock }: { wires: Wires | null; apiKey: string | null; clock: Clock },
): Scraper | null {
  if (scrape === null) return null;
  const wire = (wires ?? realWires(target.address!, connection, 1)).http();
  return new Scraper(scrape, { wire, headers: headersOf({ apiKey, headers }), clock });
}

async function probe(settings: Settings, apiKey: string | null): Promise<ServerFacts> {
  const address = settings.target.address!;
  const wire = realWires(address, settings.connection, 1).http();
  try {
    const url = `${address.origin}${address.pathOf('/v1/models')}`;
    return await probeServer(wire, headersOf({ apiKey, headers: settings.headers }), url);
  } finally {
    wire.close();
  }
}

/** The tokenizer that was asked for, or the embedded model's own; null if there is none. */
function findTokenizer(asked: string | null, model: string): Tokenizer | null {
  if (asked !== null) return Tokenizer.load(resolveModel(asked));
  if (/[/\\]/.test(model)) return null;
  try {
    return Tokenizer.load(resolveModel(model));
  } catch {
    return null; // somebody else's model
  }
}

function contentOptions(tokenizer: Tokenizer | null): ContentOptions {
  if (tokenizer === null) return { scale: { wordsPerToken: 1 }, ids: null, encode: null };
  const sampleWords = 4096;
  const sample = fillerText(1, sampleWords, { wordsPerToken: 1 });
  return {
    scale: { wordsPerToken: sampleWords / tokenizer.encode(sample).length },
    // Low ids are special in many vocabularies, and the highest in others.
    ids: { first: Math.min(256, tokenizer.vocabSize >> 1), vocabSize: Math.floor(tokenizer.vocabSize * 0.9) },
    encode: (text) => Array.from(tokenizer.encode(text)),
  };
}

/** Runs virtual time until `until` has settled. */
async function pump(clock: VirtualClock, io: LoadtestIo, until: Promise<unknown>): Promise<void> {
  let over = false;
  const end = () => {
    over = true;
  };
  until.then(end, end);
  for (let steps = 1; !over; steps++) {
    const stepped = clock.step();
    // What the event resolved goes on before the next one; now and then the process hears its signals.
    if (stepped && steps % STEPS_PER_BREATH !== 0) await null;
    else await io.settle();
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
    const onTurn: RunWorld['onTurn'] =
      csv === null ? null : (turn, judged) => csv.append(turnLine(turn, judged));
    const world = { clock, target, workload, countTokens, surroundings, onTurn };
    const title = `${target.name} · ${workload.name} · ${describeLoad(load)}`;
    if (live === null) this.#io.note(`${title} …\n`);
    let unwatch = () => {};
    const scraper = this.#stage.openScraper();
    scraper?.start();
    const report = new Promise<RunReport>((resolve) => {
      const run = startRun(plan, world, resolve);
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

  /** A collector that is not there costs a line, not the run. */
  async #tell(report: RunReport): Promise<void> {
    const { otlp, connection } = this.#settings;
    if (otlp === null) return;
    const wire = realWires(otlp, connection, 1).http();
    const path = otlp.text === otlp.origin ? '/v1/metrics' : '/v1'; // with a path of its own: that path
    const { status, failure } = await post(wire, {}, path, otlpMetrics(report, this.#io.epochMs()));
    wire.close();
    if (failure !== null || status >= 300) {
      this.#io.note(`--otlp ${otlp.text}: ${failure ?? `answered ${status}`}\n`);
    }
  }

  async #compare(other: Target): Promise<ComparisonReport> {
    const { clock, target, workload, countTokens, surroundings } = this.#stage;
    const { blocks, seed, slo, turnTimeoutMs, gapMsMax } = this.#settings;
    const warmupBlocks = Math.max(1, Math.round(blocks * 0.1));
    const plan = { blocks, warmupBlocks, seed, slo, turnTimeoutMs, gapMsMax: Math.min(gapMsMax, 50) };
    const report = new Promise<ComparisonReport>((resolve) => {
      const onBlock = (done: number, all: number) => this.#io.note(`ABBA block ${done} of ${all}\n`);
      const world = { clock, a: target, b: other, workload, countTokens, surroundings, onBlock };
      const active = startComparison(plan, world, resolve);
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
    return gates.every(({ passed }) => passed) && !aborted ? 0 : 1;
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
