// Stage: what all runs of a campaign share: clock, target, workload, tokenizer, and the server in this process where there is one.
// Opened from the settings by campaign.ts, and by each thread that plays a part of a run.
import { type Clock, VirtualClock } from '../../kernels/clock.ts';
import { loadTokenizer } from '../../models/checkpoint/tokenizer-source.ts';
import { resolveModel } from '../../models/model.ts';
import type { Tokenizer } from '../../models/tokenizer/tokenizer.ts';
import { packageVersion } from '../../server/base/package-version.ts';
import { openWorkload } from '../workload/catalog.ts';
import { fillerText } from '../workload/filler.ts';
import type { LoadtestIo } from './io.ts';
import type { LiveScreen } from './report/live-view.ts';
import type { RunParts } from './runs/run.ts';
import { Scraper } from './runs/scrape.ts';
import type { Settings, TargetSettings } from './settings.ts';
import { headersOf, openTarget, realWires, type Wires } from './wires/catalog.ts';
import type { ContentOptions } from './wires/content.ts';
import { startInProcess } from './wires/own-server.ts';
import { type ProbedServer, probeServer } from './wires/probe.ts';
import type { Target } from './wires/target.ts';

const STEPS_PER_BREATH = 1000;
const CHARACTERS_PER_TOKEN = 3.5; // of code, where no tokenizer is at hand; an estimate

/** What a stage asks of the outside. */
export type StageIo = Pick<
  LoadtestIo,
  'clock' | 'apiKey' | 'epochMs' | 'commandLine' | 'machine' | 'nodeVersion' | 'note' | 'openLive' | 'settle'
>;

/** What all runs of a campaign share. */
export interface Stage extends Omit<RunParts, 'onTurn'> {
  readonly other: Target | null;
  readonly live: LiveScreen | null;
  /** Of the server's own metrics, one for each run; null: not asked for. */
  openScraper(): Scraper | null;
  close(): Promise<void>;
}

/** Opens the server in this process, or asks the one there is who it is. */
export async function openStage(settings: Settings, io: StageIo): Promise<Stage> {
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

/** Asks the server there is who it is. Rejects with ProbeError. */
export async function probe(settings: Settings, apiKey: string | null): Promise<ProbedServer> {
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
  if (asked !== null) return loadTokenizer(resolveModel(asked));
  if (/[/\\]/.test(model)) return null;
  try {
    return loadTokenizer(resolveModel(model));
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
export async function pump(
  clock: VirtualClock,
  io: Pick<LoadtestIo, 'settle'>,
  until: Promise<unknown>,
): Promise<void> {
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
