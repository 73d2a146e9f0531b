// What simulating costs: requests per second of processor time through the virtual-time player and the serving scheduler, one
// process; beside another checkout's, round by round, where one is named.
// Run: npx tsx test/bench/simulator.bench.ts [other checkout]
import { join } from 'node:path';
import { argv, cpuUsage } from 'node:process';

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

const own = await playerOf(join(import.meta.dirname, '../..'));
const other = argv[2] === undefined ? null : await playerOf(argv[2]);
for (const each of cases) {
  const rates: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round <= roundCount; round++) {
    const mine = rate(own, each);
    const theirs = other === null ? mine : rate(other, each);
    if (round === 0) continue; // the compiler warms up
    rates.push(mine);
    ratios.push(mine / theirs);
  }
  const middle = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
  const beside = other === null ? '' : `, ${middle(ratios).toFixed(2)} times the other's`;
  console.log(`${each.name}: ${Math.round(middle(rates))} requests/s of processor time${beside}`);
}
