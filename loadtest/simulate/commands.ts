// The commands of the simulator for commander: predict, simulate, compare, fleet, measure-device, devices, validate. A thin
// layer: reads flags, calls the functions of this folder, prints a table or JSON. Mounted by loadtest/commands.ts.

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { SHAPES } from '../../kernels/sim/catalogue.ts';
import { parseDeviceName, type SimDevice } from '../../kernels/sim/device.ts';
import { maxLoadSequences, requestsAtMaxLoad } from '../../kernels/sim/fit/max-load.ts';
import { PRECISIONS, type SimPrecision } from '../../kernels/sim/precision.ts';
import { shapeNamed } from '../../kernels/sim/shape-file.ts';
import { WAFER_CHIPS } from '../../kernels/sim/wafer/chips.ts';
import { SERVED_POLICY } from '../../server/engine/policy.ts';
import { FlagError } from '../base/flag-error.ts';
import type { HearingRule } from '../base/unheard.ts';
import { formatComparison } from './compare.ts';
import { type CompareFlags, compareDevices } from './compare-study.ts';
import { contextOf, type DeviceFlags, deviceOf, devicesOf, withDeviceFlags } from './device-flags.ts';
import { deviceFits, formatDeviceFits } from './device-list.ts';
import { arrivalRules, deviceRules, loadRules, priceNotes, regionRules, unheardOf } from './flag-hearing.ts';
import { people, positive, precision, region, whole } from './flag-values.ts';
import { addFleet } from './fleet/fleet-commands.ts';
import type { FixedLengths } from './load.ts';
import { addMeasureDevice } from './machine/machine-command.ts';
import { comparisonPage } from './page.ts';
import { type Prediction, type PredictLoad, predict, predictRegion, usersThatFit } from './predict.ts';
import { formatPrediction, formatSummary } from './print.ts';
import { refuseUnwritable } from './result-file.ts';
import {
  type LoadFlags,
  loadOf,
  pricesOf,
  queueLengthMax,
  type RunFlags,
  refuseTooLong,
  sloOf,
  withLoadFlags,
  withRunFlags,
} from './run-flags.ts';
import { schedulePage } from './schedule-page.ts';
import { type SchedulerName, simulate } from './simulation.ts';
import { streamedPage } from './streamed-page.ts';
import { summarise } from './summary.ts';
import { unlikePrediction } from './unlike-published.ts';
import { formatValidation, validationGoals, validationRows } from './validate.ts';

/** Where a command writes. */
export interface CommandOutput {
  write(text: string): void; // results
  note(text: string): void; // progress, for people
  setExitCode(code: number): void;
  /** Where the page lists reports, too; `path`: where it was written, if it was. */
  readonly keepReport?: (kind: string, html: string, path: string | null) => void;
}

/** Adds the seven commands. */
export function addSimulationCommands(program: Command, output: CommandOutput): void {
  addPredict(program, output);
  addSimulate(program, output);
  addCompare(program, output);
  addFleet(program, output);
  addMeasureDevice(program, output);
  program
    .command('devices')
    .description('list simulated devices with what fits on them')
    .option('--model <name>', 'only this model: a known name, or a directory with a config.json')
    .option(
      '--precision <format>',
      `${PRECISIONS.join(', ')}; default: as each model is published`,
      precision,
    )
    .option('--json', 'print JSON')
    .action((flags: { model?: string; precision?: SimPrecision; json?: boolean }) => {
      const fits = deviceFits(
        flags.model === undefined ? SHAPES : [shapeNamed(flags.model)],
        flags.precision ?? null,
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
    .requiredOption(
      '--device <name>',
      'a chip of `devices`, such as h100 or wse3, xN for several; or a JSON file',
    )
    .option('--isl <tokens>', 'prompt', whole, 1000)
    .option('--osl <tokens>', 'answer', whole, 1000)
    .option('--concurrency <users>', 'users in a closed loop, all beginning at once', people)
    .option('--rate <requests>', 'requests per second, at random times', positive)
    .option(
      '--max-load',
      'all requests at once, as many of them running as KV has room for, until the last has ended',
    )
    .option(
      '--requests <count>',
      '--max-load: how many; default: as many as published runs of such lengths have, 1,000 to 30,000',
      people,
    )
    .option('--region <WxH>', 'wafer: one region of cores, the latency model alone', region)
    .option('--html <file>', 'wafer: the on-chip schedule as a page');
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
          requests?: number;
          region?: { columns: number; rows: number };
          html?: string;
        },
      given: Command,
    ) => {
      const lengths = { isl: flags.isl, osl: flags.osl };
      if (flags.region !== undefined) {
        for (const note of unheardOf(given, regionRules(given))) output.note(note);
        return writeRegion(flags, flags.region, output);
      }
      const load = predictLoadOf(flags, lengths);
      const device =
        load.kind === 'max-load' ? fullDevice(flags, lengths) : usersDevice(flags, load, lengths);
      refuseTooLong(lengths, contextOf(device));
      if (device.kind !== 'gpu') refuseUnwritable('html', flags.html);
      noteUnheard(given, [device], { rules: arrivalRules(load.kind === 'rate'), flags, output });
      const found = predict({
        device,
        lengths,
        load,
        slo: sloOf(flags),
        hostMs: flags.hostMs,
        scheduler: flags.scheduler,
        prices: pricesOf(flags),
        seed: flags.seed,
        unlike: unlikePrediction(flags, load, lengths),
      });
      if (flags.html !== undefined) writeSchedule(flags.html, device, found, output);
      output.write(flags.json ? json(found) : formatPrediction(found));
    },
  );
}

function writeRegion(
  { device, model, isl, json: asJson }: { device: string; model: string; isl: number; json?: boolean },
  area: { columns: number; rows: number },
  output: CommandOutput,
): void {
  const { chip } = parseDeviceName(device);
  const wafer = WAFER_CHIPS.find(({ name }) => name === chip);
  if (wafer === undefined) throw new FlagError('region', chip, 'a wafer: wse2 or wse3');
  const found = predictRegion({ chip: wafer, shape: shapeNamed(model) }, area, isl);
  const text = `simulated, one region of ${found.columns} × ${found.rows} cores, layers only: decode ${found.decodeTokensPerSecond.toFixed(1)} tok/s, prefill of ${isl} tokens ${found.prefillTokensPerSecond.toFixed(1)} tok/s\n  ${found.trust}\n`;
  output.write(asJson ? json(found) : text);
}

function writeSchedule(
  file: string,
  device: SimDevice,
  { schedule }: Prediction,
  output: CommandOutput,
): void {
  if (device.kind === 'wafer' && schedule?.weights === 'resident')
    writeFileSync(file, schedulePage(device, schedule));
  else if (device.kind === 'streamed' && schedule?.weights === 'streamed')
    writeFileSync(file, streamedPage(device, schedule));
  else throw new FlagError('html', file, 'a wafer among the devices');
  output.note(`wrote ${file}\n`);
}

// Users of a closed loop all have a seat, or as many of them as KV has room for: published schedulers send nobody away again.
function usersDevice(flags: DeviceFlags & { device: string }, load: PredictLoad, lengths: FixedLengths) {
  if (flags.seats !== undefined || load.kind !== 'concurrency') return deviceOf(flags.device, flags);
  const device = deviceOf(flags.device, { ...flags, seats: load.userCount });
  const fit = usersThatFit(device, lengths);
  return device.kind !== 'gpu' || fit >= load.userCount
    ? device
    : deviceOf(flags.device, { ...flags, seats: fit });
}

// At maximum load a GPU has as many seats as its runtime, or as KV has room for, and a step takes a whole prompt.
function fullDevice(flags: DeviceFlags & { device: string }, lengths: FixedLengths): SimDevice {
  const most = flags.seats ?? maxLoadSequences * (flags.dep ?? 1) * (flags.pp ?? 1);
  const chunk = flags.chunkTokens === undefined ? { chunkTokens: Math.max(chunkTokensMin, lengths.isl) } : {};
  const device = deviceOf(flags.device, { ...flags, seats: most });
  if (device.kind !== 'gpu' || device.setup.chip.own !== undefined) return device;
  return deviceOf(flags.device, { ...flags, seats: usersThatFit(device, lengths) }, chunk);
}

const chunkTokensMin = 8192; // TensorRT-LLM's default max_num_tokens

function addSimulate(program: Command, output: CommandOutput): void {
  const command = program
    .command('simulate')
    .description('run a trace or random requests on a simulated device in virtual time')
    .requiredOption(
      '--device <name>',
      'a chip of `devices`, such as h100 or wse3, xN for several; or a JSON file',
    );
  withRunFlags(withDeviceFlags(withLoadFlags(command))).action(
    (flags: DeviceFlags & RunFlags & LoadFlags & { device: string }, given: Command) => {
      const device = deviceOf(flags.device, flags);
      const load = loadOf(flags, contextOf(device));
      noteUnheard(given, [device], { rules: loadRules(flags.trace, false), flags, output });
      const result = simulate({
        ...{
          device,
          load,
          slo: sloOf(flags),
          hostMs: flags.hostMs,
          scheduler: flags.scheduler,
          queueLengthMax,
        },
        ...{ warmupRequests: 0, countedRequests: Number.POSITIVE_INFINITY },
      });
      const summary = summarise(result, { device, load: load.label, prices: pricesOf(flags) });
      const notes = [...load.notes, orderNote(flags.scheduler)];
      output.write(flags.json ? json(summary) : formatSummary(summary, notes));
    },
  );
}

function addCompare(program: Command, output: CommandOutput): void {
  const command = program
    .command('compare')
    .description('run the same load on several simulated devices: a table, and a page with pictures')
    .requiredOption('--devices <names>', 'separated by commas: wse3,h100x2,h200')
    .option('--html <file>', 'write one self-contained page')
    .option('--users-max <users>', 'largest crowd of the sweep', people, 512)
    .option('--jobs <threads>', 'devices at once', people, 1);
  withRunFlags(withDeviceFlags(withLoadFlags(command))).action(
    async (flags: CompareFlags & { html?: string; jobs: number }, given: Command) => {
      const threads = Math.min(flags.jobs, availableParallelism());
      const devices = devicesOf(flags.devices, flags);
      refuseUnwritable('html', flags.html);
      noteUnheard(given, devices, { rules: loadRules(flags.trace, true), flags, output }); // the crowds are random, too
      const found = await compareDevices(flags, threads, (text) => output.note(`${text} …\n`));
      const page = comparisonPage(found);
      output.keepReport?.('compare', page, flags.html ?? null);
      if (flags.html !== undefined) {
        writeFileSync(flags.html, page);
        output.note(`wrote ${flags.html}\n`);
      }
      output.write(
        flags.json
          ? json(found.devices.map(({ summary, sweep, plan, trust }) => ({ summary, sweep, plan, trust })))
          : formatComparison(found),
      );
    },
  );
}

function predictLoadOf(
  flags: { concurrency?: number; rate?: number; maxLoad?: boolean; requests?: number },
  lengths: FixedLengths,
): PredictLoad {
  const given = [flags.concurrency, flags.rate, flags.maxLoad].filter((value) => value !== undefined).length;
  if (given > 1)
    throw new FlagError(
      'concurrency',
      String(flags.concurrency),
      'only one of --concurrency, --rate and --max-load',
    );
  if (flags.maxLoad) return { kind: 'max-load', requestCount: flags.requests ?? requestsAtMaxLoad(lengths) };
  if (flags.requests !== undefined)
    throw new FlagError('requests', String(flags.requests), '--max-load beside it');
  if (flags.rate !== undefined) return { kind: 'rate', perSecond: flags.rate };
  return { kind: 'concurrency', userCount: flags.concurrency ?? 1 };
}

// The order of waiting requests, and how it differs from the one that serves.
function orderNote(name: SchedulerName): string {
  const { overtakeMsPerToken, classDelayMs } = SERVED_POLICY;
  const served = `a longer prompt is overtaken after ${overtakeMsPerToken} ms per token, or what a token costs where that is more, side requests rank ${classDelayMs.side} ms later, background ones ${classDelayMs.background} ms`;
  return name === 'served'
    ? `order as it serves: ${served}`
    : `order: first come, first served, as published systems; this server's (--scheduler served): ${served}`;
}

// Names the flags that count for nothing in this run.
function noteUnheard(
  given: Command,
  devices: readonly SimDevice[],
  { rules, flags, output }: { rules: readonly HearingRule[]; flags: RunFlags; output: CommandOutput },
): void {
  const notes = unheardOf(given, [...rules, ...deviceRules(devices)]);
  for (const note of [...notes, ...priceNotes(devices, pricesOf(flags))]) output.note(note);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
