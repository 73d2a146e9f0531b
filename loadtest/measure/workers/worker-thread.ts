// The thread that plays a part of a run: opens its own target and workload from the flags, says when it is ready, plays, and hands
// over what has finished in batches. Started by shared-run.ts.
import { availableParallelism } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { WallClock } from '../../../kernels/clock.ts';
import { Random } from '../../../kernels/random.ts';
import { loadPart, partOf } from '../../workload/share.ts';
import { joinSeeds } from '../../workload/turn.ts';
import { Driver, type InFlightGauge } from '../play/driver.ts';
import { LagProbe } from '../play/lag-probe.ts';
import type { DriverRecorder, FinishedSession, FinishedTurn } from '../play/recorder.ts';
import { isGood, type Slo } from '../play/slo.ts';
import { parseSettings } from '../settings.ts';
import { openStage, type StageIo } from '../stage.ts';
import type { PlayedPart } from './shared-run.ts';
import { messageOf, type TurnMessage, type WorkerMessage } from './turn-message.ts';

const BATCH_MS = 100;
const BATCH_TURNS = 64;

const port = parentPort!;
const say = (message: WorkerMessage): void => port.postMessage(message);
const { flags, apiKey, share, run, inFlight } = workerData as PlayedPart;
const clock = new WallClock();

class Batches implements DriverRecorder {
  readonly #slo: Slo;
  #turns: TurnMessage[] = [];
  #sessions: FinishedSession[] = [];
  #shed = 0;
  #scheduled = false;

  constructor(slo: Slo) {
    this.#slo = slo;
  }

  onTurn(turn: FinishedTurn): boolean {
    this.#turns.push(messageOf(turn));
    this.#soon();
    return isGood(turn.outcome, turn.measures, this.#slo);
  }

  onSession(session: FinishedSession): void {
    this.#sessions.push(session);
    this.#soon();
  }

  onShed(): void {
    this.#shed++;
    this.#soon();
  }

  flush(): void {
    if (this.#turns.length + this.#sessions.length + this.#shed === 0) return;
    say({ kind: 'finished', turns: this.#turns, sessions: this.#sessions, shed: this.#shed });
    [this.#turns, this.#sessions, this.#shed] = [[], [], 0];
  }

  #soon(): void {
    if (this.#turns.length >= BATCH_TURNS) this.flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    clock.schedule(BATCH_MS, () => {
      this.#scheduled = false;
      this.flush();
    });
  }
}

const gauge: InFlightGauge = {
  tell: (count) => void Atomics.store(inFlight, share.index, count),
  elsewhere: () => inFlight.reduce((sum, count, index) => (index === share.index ? sum : sum + count), 0),
};

// Only what a stage asks of the outside; it prints nothing here.
const io: StageIo = {
  ...{ clock, apiKey, epochMs: () => 0, commandLine: '', nodeVersion: '', note: () => {} },
  ...{ machine: `${availableParallelism()} cores`, openLive: () => null },
  settle: () => Promise.resolve(),
};

async function play(): Promise<void> {
  const settings = parseSettings({ ...flags, live: false });
  const stage = await openStage(settings, io);
  const batches = new Batches(settings.slo);
  const probe = new LagProbe(clock);
  const plan = {
    ...settings,
    share,
    load: loadPart(run.load, share),
    salt: run.salt,
    sessionsMax: partOf(run.sessionsMax, share),
    sessionsInFlightMax: Math.ceil(settings.sessionsInFlightMax / share.count),
  };
  const driver = new Driver(plan, {
    ...{ clock, target: stage.target, sessions: stage.workload.sessions(), recorder: batches, gauge },
    random: new Random(joinSeeds(settings.seed, 1)),
    countTokens: stage.countTokens,
  });
  const done = (): void => {
    probe.stop();
    batches.flush();
    void stage.close().then(() => {
      say({ kind: 'done', loopDelay: probe.histogram.data, ranOut: driver.ranOut });
      port.close();
    });
  };
  let going = false;
  port.on('message', (word: 'go' | 'stop') => {
    if (word === 'stop' && !going) done();
    else if (word === 'stop') driver.stop();
    else {
      going = true;
      probe.start();
      driver.start(done);
    }
  });
  say({ kind: 'ready' });
}

play().catch((error: unknown) => {
  say({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  port.close();
});
