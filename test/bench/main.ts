// `make bench`: everything that a user of one machine would ask for, as tables and as JSON in bench-results/.
// Compare ratios within one run; absolute numbers belong to this machine at this minute.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import { backendBench, printBackendCosts } from './backend.bench.ts';
import { constrainedBench, printConstrained } from './constrained.bench.ts';
import { editsBench, printEdits } from './edits.bench.ts';
import { infillBench, printInfill } from './infill.bench.ts';
import { printCodecs, protocolBench } from './protocol.bench.ts';
import { printRouting, routingBench } from './routing.bench.ts';
import { printServing, servingBench } from './serving.bench.ts';
import { printSession, sessionBench } from './session.bench.ts';
import { printSimulating, simulatorBench } from './simulator.bench.ts';
import { printSpeculation, speculationBench } from './speculation.bench.ts';

const folder = join(import.meta.dirname, '../../bench-results');

/** 3·10⁸ additions in a plain loop: what this machine is worth right now. */
function integerLoopMs(): number {
  const startMs = performance.now();
  let sum = 0;
  for (let index = 0; index < 3e8; index++) sum = (sum + index) | 0;
  return sum === 1 ? 0 : performance.now() - startMs;
}

const machine = {
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  node: process.version,
  integerLoopMs: integerLoopMs(),
};
console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}`);
console.log(
  `integer loop, 3·10⁸ steps: ${machine.integerLoopMs.toFixed(0)} ms (500 ms on an idle recent machine)`,
);

const serving = await servingBench(argv.slice(2));
printServing(serving);
const speculation = await speculationBench(argv.slice(2));
printSpeculation(speculation);
const edits = await editsBench();
printEdits(edits);
const constrained = await constrainedBench(argv.slice(2));
printConstrained(constrained);
const session = await sessionBench(argv.slice(2));
printSession(session);
const infill = await infillBench(argv.slice(2));
printInfill(infill);
const backend = await backendBench({ model: 'spark-nano', precision: 'w8a8', threadCount: 1 });
printBackendCosts(backend);
const codecs = protocolBench();
printCodecs(codecs);
const routing = routingBench();
printRouting(routing);
const simulating = await simulatorBench();
printSimulating(simulating);

mkdirSync(folder, { recursive: true });
writeFileSync(
  join(folder, 'latest.json'),
  JSON.stringify(
    {
      ...{ machine, serving, speculation, edits, constrained, session, infill, backend, codecs, routing },
      simulating,
    },
    null,
    2,
  ),
);
console.log('\nJSON: bench-results/latest.json');
