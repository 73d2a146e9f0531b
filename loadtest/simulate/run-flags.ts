// RunFlags: the flags of a load and of a run on simulated devices, and what they make. For commands.ts, and the threads of a
// comparison. After it: load.ts, replay.ts.
import type { Command } from 'commander';
import { nimHostMs, vllmHostMs } from '../../kernels/sim/gpu/host.ts';
import { FlagError } from '../base/flag-error.ts';
import { notNegative, positive, prices, scheduler, whole } from './flag-values.ts';
import { poissonLoad, type SimLoad } from './load.ts';
import { replayLoad } from './replay.ts';
import type { SchedulerName } from './simulation.ts';
import type { Prices } from './summary.ts';
import type { SloBounds } from './tally.ts';

export interface RunFlags {
  readonly hostMs: number;
  readonly scheduler: SchedulerName;
  readonly sloTtft: number;
  readonly sloTpot: number;
  readonly price: Prices['usdPerChipHour'];
  readonly pricePower?: number;
  readonly seed: number;
  readonly json?: boolean;
}

export interface LoadFlags {
  readonly trace?: string;
  readonly timeScale: number;
  readonly sessionsPerHour: number;
  readonly requests: number;
  readonly isl: number;
  readonly osl: number;
  readonly rate: number;
}

/** Of the engine; further requests are refused. */
export const queueLengthMax = 100_000;

export function withRunFlags(command: Command): Command {
  return command
    .option(
      '--host-ms <ms>',
      `per request outside the engine; published stacks on GPUs: NIM ${nimHostMs}, vLLM ${vllmHostMs}`,
      notNegative,
      0,
    )
    .option(
      '--scheduler <settings>',
      'published (first come, first served, as the published systems) or served (as this server does)',
      scheduler,
      'published',
    )
    .option('--slo-ttft <ms>', 'a good request has its first token by then', positive, 2000)
    .option('--slo-tpot <ms>', 'and this mean time per token', positive, 50)
    .option('--price <list>', 'USD per chip and hour: h100=2.5,wse3=60', prices, new Map())
    .option('--price-power <usd>', 'USD per kWh', notNegative)
    .option('--seed <number>', 'of random arrivals', notNegative, 1)
    .option('--json', 'print JSON');
}

export function withLoadFlags(command: Command): Command {
  return command
    .option(
      '--trace <file>',
      'Azure, Mooncake or agent-session trace, plain or gzip; default: random requests',
    )
    .option('--time-scale <factor>', 'trace: play it this much faster', positive, 1)
    .option('--sessions-per-hour <count>', 'agent-session trace: how often one begins', positive, 60)
    .option('--requests <count>', 'at most so many', whole, 1_000_000)
    .option('--isl <tokens>', 'without a trace: prompt', whole, 1000)
    .option('--osl <tokens>', 'without a trace: answer', whole, 100)
    .option('--rate <requests>', 'without a trace: requests per second', positive, 1);
}

export function loadOf(flags: LoadFlags & RunFlags, contextTokensMax: number): SimLoad {
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
  refuseTooLong(flags, contextTokensMax);
  return poissonLoad(flags, { perSecond: flags.rate, requestCount: flags.requests, seed: flags.seed });
}

export function refuseTooLong({ isl, osl }: { isl: number; osl: number }, contextTokensMax: number): void {
  if (isl + osl <= contextTokensMax) return;
  const [name, value] = isl >= contextTokensMax ? ['isl', isl] : ['osl', osl];
  throw new FlagError(
    String(name),
    String(value),
    `prompt and answer of at most ${contextTokensMax} tokens together`,
  );
}

export function sloOf({ sloTtft, sloTpot }: RunFlags): SloBounds {
  return { ttftMsMax: sloTtft, tpotMsMax: sloTpot };
}

export function pricesOf({ price, pricePower }: RunFlags): Prices {
  return { usdPerChipHour: price, usdPerKWh: pricePower ?? null };
}
