// Flags of the simulator's commands that were given and that nothing asks in such a run: each is said, with what it belongs to, so
// that nobody takes a figure for what he did not ask. Foreign devices' flags are device-flags.ts's. For commands.ts and fleet/.
import type { Command } from 'commander';
import type { SimDevice } from '../../kernels/sim/device.ts';
import { type HearingRule, unheardLines } from '../base/unheard.ts';
import type { Prices } from './summary.ts';

/** The flags of the command line, not those that have their default. */
function givenFlags(command: Command): string[] {
  return Object.keys(command.opts()).filter((name) => command.getOptionValueSource(name) === 'cli');
}

/** One line for each, in the order of the rules. */
export function unheardOf(command: Command, rules: readonly HearingRule[]): readonly string[] {
  const given = givenFlags(command);
  return unheardLines(rules, (name) => given.includes(name));
}

/** All that `--region` asks: the rest is of the engine. */
export function regionRules(command: Command): HearingRule[] {
  const heard = ['device', 'model', 'region', 'isl', 'json'];
  const flags = givenFlags(command).filter((name) => !heard.includes(name));
  return [{ flags, heard: false, of: 'predictions through the engine, not of --region' }];
}

/** Of one device with a model on it. */
export function deviceRules(devices: readonly SimDevice[]): HearingRule[] {
  const some = (is: (device: SimDevice) => boolean): boolean => devices.some(is);
  const several = some((device) => device.kind !== 'gpu' && device.count > 1);
  return [
    { flags: ['linkUs'], heard: several, of: 'several wafers' },
    {
      flags: ['windowedKv'],
      heard: some((device) => device.kind === 'gpu' && device.shape.windowedLayerCount > 0),
      of: 'models with windowed layers',
    },
    {
      flags: ['pricePower'],
      heard: some((device) => device.powerW > 0),
      of: 'devices whose power is stated',
    },
  ];
}

/** Of what things cost: energy is added to a chip's price, and both are of one among the devices. */
export function priceNotes(devices: readonly SimDevice[], { usdPerChipHour, usdPerKWh }: Prices): string[] {
  const chips = devices.map(({ setup }) => setup.chip.name);
  const strange = [...usdPerChipHour.keys()].filter((name) => !chips.includes(name));
  const notes = strange.map(
    (name) => `--price of ${name} counts for nothing here: the devices are ${chips.join(', ')}\n`,
  );
  const priced = chips.some((name) => usdPerChipHour.has(name));
  if (usdPerKWh !== null && !priced)
    notes.push('--price-power counts for nothing here: it is added to the price of a chip (--price)\n');
  return notes;
}

/** Of a load: a trace brings its own lengths and times. `seeded`: something else is drawn at random, too. */
export function loadRules(trace: string | undefined, seeded: boolean): HearingRule[] {
  const random = trace === undefined;
  return [
    { flags: ['isl', 'osl', 'rate'], heard: random, of: 'random requests, not of --trace' },
    { flags: ['seed'], heard: random || seeded, of: 'random requests, not of --trace' },
    { flags: ['timeScale', 'sessionsPerHour'], heard: !random, of: '--trace' },
  ];
}

/** Of a prediction: only a rate's arrivals are drawn. */
export function arrivalRules(random: boolean): HearingRule[] {
  return [{ flags: ['seed'], heard: random, of: 'random arrivals (--rate)' }];
}
