// What simulating costs: requests per second of processor time through the virtual-time player and the serving scheduler, one
// process; beside another checkout's, round by round, where one is named.
// ONLY=wafer plays one device alone in the process, as a simulation does: with all three in one the compiler has to reckon with
// each of them everywhere.
// Run: npx tsx test/bench/simulator.bench.ts [other checkout]
import { join } from 'node:path';
import { argv, cpuUsage, env } from 'node:process';

interface Player {
  readonly simulate: typeof import('../../loadtest/simulate/simulation.ts').simulate;
  readonly poissonLoad: typeof import('../../loadtest/simulate/load.ts').poissonLoad;
  readonly planSimDevice: typeof import('../../kernels/sim/device.ts').planSimDevice;
  readonly namedShape: typeof import('../../kernels/sim/catalogue.ts').namedShape;
}

const cases = [
  {
    name: 'H100, half a batch running',
    device: 'h100',
    precision: 'fp8',
    perSecond: 400,
    requestCount: 60_000,
  },
  { name: 'H100 saturated', device: 'h100', precision: 'fp8', perSecond: 2000, requestCount: 60_000 },
  { name: 'wafer', device: 'wse3', precision: 'fp16', perSecond: 100, requestCount: 30_000 },
] as const;
const roundCount = 3;

async function playerOf(folder: string): Promise<Player> {
  const from = (file: string) => import(join(folder, file));
  const [simulation, load, device, catalogue] = await Promise.all([
    from('loadtest/simulate/simulation.ts'),
    from('loadtest/simulate/load.ts'),
    from('kernels/sim/device.ts'),
    from('kernels/sim/catalogue.ts'),
  ]);
  return { ...simulation, ...load, ...device, ...catalogue };
}

// Requests per second of processor time, the collector's threads among it; placement is not in it.
function rate(player: Player, { device: name, precision, perSecond, requestCount }: (typeof cases)[number]) {
  const device = player.planSimDevice({ device: name, shape: player.namedShape('llama-3.1-8b'), precision });
  const load = player.poissonLoad({ isl: 32, osl: 8 }, { perSecond, requestCount, seed: 1 });
  const before = cpuUsage();
  const { requestCount: ended } = player.simulate({
    ...{ device, load, slo: { ttftMsMax: 1000, tpotMsMax: 50 }, hostMs: 0, queueLengthMax: 100_000 },
    ...{ warmupRequests: 0, countedRequests: Number.POSITIVE_INFINITY },
  });
  const { user, system } = cpuUsage(before);
  return (ended * 1e6) / (user + system);
}

interface SimulatorRow {
  readonly name: string;
  readonly requestsPerSecond: number; // of processor time; the middle of the rounds
  readonly ratio: number | null; // over the other checkout's
}

/** `otherFolder`: another checkout to run beside this one. */
export async function simulatorBench(otherFolder?: string): Promise<SimulatorRow[]> {
  const own = await playerOf(join(import.meta.dirname, '../..'));
  const other = otherFolder === undefined ? null : await playerOf(otherFolder);
  const only = env['ONLY'] ?? '';
  return cases
    .filter(({ name }) => name.startsWith(only))
    .map((each): SimulatorRow => {
      const rates: number[] = [];
      const ratios: number[] = [];
      for (let round = 0; round <= roundCount; round++) {
        const mine = rate(own, each);
        const theirs = other === null ? mine : rate(other, each);
        if (round === 0) continue; // the compiler warms up
        rates.push(mine);
        ratios.push(mine / theirs);
      }
      const requestsPerSecond = Math.round(middle(rates));
      return { name: each.name, requestsPerSecond, ratio: other === null ? null : middle(ratios) };
    });
}

function middle(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

export function printSimulating(rows: readonly SimulatorRow[]): void {
  console.log('\nsimulating, one process, requests/s of processor time');
  for (const { name, requestsPerSecond, ratio } of rows) {
    const beside = ratio === null ? '' : `, ${ratio.toFixed(2)} times the other's`;
    console.log(`  ${name.padEnd(28)} ${requestsPerSecond}${beside}`);
  }
}

if (import.meta.filename === argv[1]) printSimulating(await simulatorBench(argv[2]));
