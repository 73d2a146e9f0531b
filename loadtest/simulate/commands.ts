// The commands of the simulator for commander: predict, simulate, compare, devices, validate. A thin layer: reads
// flags, calls the functions of this folder, prints a table or JSON. Mounted by main.ts here, and by whoever owns the
// `sparklane` program.
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { parseDeviceName, planSimDevice, type SimDevice } from '../../kernels/sim/device.ts';
import { DoesNotFitError } from '../../kernels/sim/fit-error.ts';
import { publishedHostMs } from '../../kernels/sim/gpu/host.ts';
import { shapeNamed } from '../../kernels/sim/shape-file.ts';
import { PRECISIONS, type Precision, SHAPES, UnknownShapeError } from '../../kernels/sim/shapes.ts';
import { WAFER_CHIPS } from '../../kernels/sim/wafer/chips.ts';
import { FlagError, TraceError } from '../flag-error.ts';
import { compare, formatComparison } from './compare.ts';
import { deviceFits, formatDeviceFits } from './device-list.ts';
import { count, notNegative, placement, positive, precision, prices, region } from './flag-values.ts';
import { poissonLoad, type SimLoad } from './load.ts';
import { comparisonPage } from './page.ts';
import { type PredictLoad, predict, predictRegion } from './predict.ts';
import { formatPrediction, formatSummary } from './print.ts';
import { replayLoad } from './replay.ts';
import { simulate } from './simulation.ts';
import { type Prices, summarise } from './summary.ts';
import type { SloBounds } from './tally.ts';
import { formatValidation, validationGoals, validationRows } from './validate.ts';

/** Where a command writes. */
export interface CommandOutput {
  write(text: string): void; // results
  note(text: string): void; // progress, for people
  setExitCode(code: number): void;
}

/** Whether an error is a refusal that a person reads, rather than a fault of the program. */
export function isRefusal(error: unknown): error is Error {
  return [FlagError, TraceError, DoesNotFitError, UnknownShapeError].some((kind) => error instanceof kind);
}

interface DeviceFlags {
  readonly model: string;
  readonly precision: Precision;
  readonly tp?: number;
  readonly wafers?: number;
  readonly seats?: number;
  readonly contextTokens?: number;
  readonly chunkTokens?: number;
  readonly kvStoreGb?: number;
  readonly linkUs?: number;
  readonly placement: 'optimised' | 'equal';
  readonly usersPlanned?: number;
  readonly contextPlanned: number;
  readonly answerPlanned: number;
}

interface RunFlags {
  readonly hostMs: number;
  readonly sloTtft: number;
  readonly sloTpot: number;
  readonly price: Prices['usdPerChipHour'];
  readonly pricePower?: number;
  readonly seed: number;
  readonly json?: boolean;
}

interface LoadFlags {
  readonly trace?: string;
  readonly timeScale: number;
  readonly sessionsPerHour: number;
  readonly requests: number;
  readonly isl: number;
  readonly osl: number;
  readonly rate: number;
}

/** Adds the five commands. */
export function addSimulationCommands(program: Command, output: CommandOutput): void {
  addPredict(program, output);
  addSimulate(program, output);
  addCompare(program, output);
  program
    .command('devices')
    .description('list simulated devices with what fits on them')
    .option('--model <name>', 'only this model: a known name, or a directory with a config.json')
    .option('--precision <format>', PRECISIONS.join(', '), precision, 'fp16')
    .option('--json', 'print JSON')
    .action((flags: { model?: string; precision: Precision; json?: boolean }) => {
      const fits = deviceFits(
        flags.model === undefined ? SHAPES : [shapeNamed(flags.model)],
        flags.precision,
      );
      output.write(flags.json ? json(fits) : formatDeviceFits(fits));
    });
  program
    .command('validate')
    .description('print every published figure beside what the simulated devices say')
    .option('--json', 'print JSON')
    .action((flags: { json?: boolean }) => {
      const rows = validationRows((group) => output.note(`${group} …\n`));
      const goals = validationGoals(rows);
      output.write(flags.json ? json({ rows, goals }) : formatValidation(rows, goals));
      if (goals.some(({ met }) => !met)) output.setExitCode(1);
    });
}

function addPredict(program: Command, output: CommandOutput): void {
  const command = program
    .command('predict')
    .description('predict latency and throughput of one model on one simulated device, and what bounds each')
    .requiredOption('--device <name>', 'a100, h100, h200, b200, wse2, wse3; xN for several')
    .option('--isl <tokens>', 'prompt', count, 1000)
    .option('--osl <tokens>', 'answer', count, 1000)
    .option('--concurrency <users>', 'users in a closed loop', count)
    .option('--rate <requests>', 'requests per second, at random times', positive)
    .option('--max-load', 'as many users as KV has room for')
    .option('--region <WxH>', 'wafer: one region of cores, the latency model alone', region);
  withRunFlags(withDeviceFlags(command)).action(
    (
      flags: DeviceFlags &
        RunFlags & {
          device: string;
          isl: number;
          osl: number;
          concurrency?: number;
          rate?: number;
          maxLoad?: boolean;
          region?: { columns: number; rows: number };
        },
    ) => {
      const lengths = { isl: flags.isl, osl: flags.osl };
      if (flags.region !== undefined) {
        const { chip } = parseDeviceName(flags.device);
        const wafer = WAFER_CHIPS.find(({ name }) => name === chip);
        if (wafer === undefined) throw new FlagError('region', chip, 'a wafer: wse2 or wse3');
        const found = predictRegion({ chip: wafer, shape: shapeNamed(flags.model) }, flags.region, flags.isl);
        const text = `simulated, one region of ${found.columns} × ${found.rows} cores, layers only: decode ${found.decodeTokensPerSecond.toFixed(1)} tok/s, prefill of ${flags.isl} tokens ${found.prefillTokensPerSecond.toFixed(1)} tok/s\n`;
        output.write(flags.json ? json(found) : text);
        return;
      }
      const load = predictLoadOf(flags);
      const seats =
        flags.seats ??
        (load.kind === 'concurrency'
          ? load.userCount
          : load.kind === 'max-load'
            ? seatsAtMaxLoad
            : undefined);
      const device = deviceOf(flags.device, { ...flags, ...(seats !== undefined && { seats }) });
      const found = predict({
        device,
        lengths,
        load,
        slo: sloOf(flags),
        hostMs: flags.hostMs,
        prices: pricesOf(flags),
        seed: flags.seed,
      });
      output.write(flags.json ? json(found) : formatPrediction(found));
    },
  );
}

const seatsAtMaxLoad = 2048; // TensorRT-LLM's default max_batch_size

function addSimulate(program: Command, output: CommandOutput): void {
  const command = program
    .command('simulate')
    .description('run a trace or random requests on a simulated device in virtual time')
    .requiredOption('--device <name>', 'a100, h100, h200, b200, wse2, wse3; xN for several');
  withRunFlags(withDeviceFlags(withLoadFlags(command))).action(
    (flags: DeviceFlags & RunFlags & LoadFlags & { device: string }) => {
      const device = deviceOf(flags.device, flags);
      const load = loadOf(flags, contextOf(device));
      const result = simulate({
        ...{ device, load, slo: sloOf(flags), hostMs: flags.hostMs, queueLengthMax },
        ...{ warmupRequests: 0, countedRequests: Number.POSITIVE_INFINITY },
      });
      const summary = summarise(result, { device, load: load.label, prices: pricesOf(flags) });
      output.write(flags.json ? json(summary) : formatSummary(summary, load.notes));
    },
  );
}

function addCompare(program: Command, output: CommandOutput): void {
  const command = program
    .command('compare')
    .description('run the same load on several simulated devices: a table, and a page with pictures')
    .requiredOption('--devices <names>', 'separated by commas: wse3,h100x2,h200')
    .option('--html <file>', 'write one self-contained page')
    .option('--users-max <users>', 'largest crowd of the sweep', count, 512);
  withRunFlags(withDeviceFlags(withLoadFlags(command))).action(
    (flags: DeviceFlags & RunFlags & LoadFlags & { devices: string; html?: string; usersMax: number }) => {
      const devices = flags.devices.split(',').map((name) => deviceOf(name.trim(), flags));
      // The shortest context decides what is played, so that all devices see the same requests.
      const load = loadOf(flags, Math.min(...devices.map(contextOf)));
      const found = compare({
        ...{
          devices,
          load,
          slo: sloOf(flags),
          hostMs: flags.hostMs,
          prices: pricesOf(flags),
          queueLengthMax,
        },
        ...{ usersMax: flags.usersMax, seed: flags.seed, onProgress: (text) => output.note(`${text} …\n`) },
      });
      if (flags.html !== undefined) {
        writeFileSync(flags.html, comparisonPage(found));
        output.note(`wrote ${flags.html}\n`);
      }
      output.write(
        flags.json
          ? json(found.devices.map(({ summary, sweep }) => ({ summary, sweep })))
          : formatComparison(found),
      );
    },
  );
}

const queueLengthMax = 100_000;

function withDeviceFlags(command: Command): Command {
  return command
    .requiredOption('--model <name>', 'a known name (see `devices`), or a directory with a config.json')
    .option('--precision <format>', PRECISIONS.join(', '), precision, 'fp16')
    .option('--tp <gpus>', 'GPUs under tensor parallelism: 1, 2, 4, 8', count)
    .option('--wafers <count>', 'wafers; default: the fewest that fit', count)
    .option('--seats <sequences>', 'sequences at once', count)
    .option('--context-tokens <tokens>', 'longest sequence', count)
    .option('--chunk-tokens <tokens>', 'prompt tokens per step (GPU), or entering together (wafer)', count)
    .option('--kv-store-gb <GB>', 'wafer: external KV store', positive)
    .option('--link-us <µs>', 'wafer to wafer; unpublished, sweep 1 to 10', positive)
    .option('--placement <kind>', 'wafer: optimised or equal', placement, 'optimised')
    .option(
      '--users-planned <users>',
      'wafer: whom the placement is to serve; default: as many as fit',
      count,
    )
    .option('--context-planned <tokens>', 'wafer: their context', count, 8192)
    .option('--answer-planned <tokens>', 'wafer: answers in it; the rest is prompt', count, 512);
}

function withRunFlags(command: Command): Command {
  return command
    .option(
      '--host-ms <ms>',
      `per request outside the engine; published GPU stacks: ${publishedHostMs}`,
      notNegative,
      0,
    )
    .option('--slo-ttft <ms>', 'a good request has its first token by then', positive, 2000)
    .option('--slo-tpot <ms>', 'and this mean time per token', positive, 50)
    .option('--price <list>', 'USD per chip and hour: h100=2.5,wse3=60', prices, new Map())
    .option('--price-power <usd>', 'USD per kWh', notNegative)
    .option('--seed <number>', 'of random arrivals', notNegative, 1)
    .option('--json', 'print JSON');
}

function withLoadFlags(command: Command): Command {
  return command
    .option(
      '--trace <file>',
      'Azure, Mooncake or agent-session trace, plain or gzip; default: random requests',
    )
    .option('--time-scale <factor>', 'trace: play it this much faster', positive, 1)
    .option('--sessions-per-hour <count>', 'agent-session trace: how often one begins', positive, 60)
    .option('--requests <count>', 'at most so many', count, 1_000_000)
    .option('--isl <tokens>', 'without a trace: prompt', count, 1000)
    .option('--osl <tokens>', 'without a trace: answer', count, 100)
    .option('--rate <requests>', 'without a trace: requests per second', positive, 1);
}

function deviceOf(name: string, flags: DeviceFlags): SimDevice {
  const isWafer = WAFER_CHIPS.some((chip) => chip.name === parseDeviceName(name).chip);
  const chips = isWafer ? flags.wafers : flags.tp;
  const optional = {
    ...(chips !== undefined && { count: chips }),
    ...(flags.seats !== undefined && { sequencesMax: flags.seats }),
    ...(flags.contextTokens !== undefined && { contextTokensMax: flags.contextTokens }),
    ...(flags.chunkTokens !== undefined && { chunkTokens: flags.chunkTokens }),
    ...(flags.kvStoreGb !== undefined && { kvStoreBytes: flags.kvStoreGb * 1e9 }),
    ...(flags.linkUs !== undefined && { linkLatencyUs: flags.linkUs }),
  };
  const demand = {
    userCount: flags.usersPlanned ?? Number.POSITIVE_INFINITY,
    contextTokens: flags.contextPlanned,
    answerTokens: Math.min(flags.answerPlanned, flags.contextPlanned),
  };
  const { precision, placement } = flags;
  return planSimDevice({
    device: name,
    shape: shapeNamed(flags.model),
    precision,
    placement,
    demand,
    ...optional,
  });
}

function contextOf({ limits }: SimDevice): number {
  return Math.min(limits.slotTokensMax, limits.blockCount * limits.blockSize);
}

function loadOf(flags: LoadFlags & RunFlags, contextTokensMax: number): SimLoad {
  if (flags.trace !== undefined) {
    const { timeScale, sessionsPerHour } = flags;
    return replayLoad({
      path: flags.trace,
      timeScale,
      sessionsPerHour,
      requestsMax: flags.requests,
      contextTokensMax,
    });
  }
  if (flags.isl + flags.osl > contextTokensMax) {
    throw new FlagError(
      'isl',
      String(flags.isl),
      `prompt and answer of at most ${contextTokensMax} tokens together`,
    );
  }
  return poissonLoad(flags, { perSecond: flags.rate, requestCount: flags.requests, seed: flags.seed });
}

function predictLoadOf(flags: { concurrency?: number; rate?: number; maxLoad?: boolean }): PredictLoad {
  const given = [flags.concurrency, flags.rate, flags.maxLoad].filter((value) => value !== undefined).length;
  if (given > 1)
    throw new FlagError(
      'concurrency',
      String(flags.concurrency),
      'only one of --concurrency, --rate and --max-load',
    );
  if (flags.rate !== undefined) return { kind: 'rate', perSecond: flags.rate };
  if (flags.maxLoad) return { kind: 'max-load' };
  return { kind: 'concurrency', userCount: flags.concurrency ?? 1 };
}

function sloOf({ sloTtft, sloTpot }: RunFlags): SloBounds {
  return { ttftMsMax: sloTtft, tpotMsMax: sloTpot };
}

function pricesOf({ price, pricePower }: RunFlags): Prices {
  return { usdPerChipHour: price, usdPerKWh: pricePower ?? null };
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
