// Three nodes against one in virtual time: `sparklane fleet` with the recorded agent sessions, as many of them a node, each staying with
// its node as the proxies have it. Used by main.ts.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');
const MINUTES = 10; // virtual

interface Row {
  readonly nodeCount: number;
  readonly goodputPerSecond: number;
}

/** Good turns a second of three nodes over those of one, all seeds together. */
export async function goodputRatio(seeds: readonly number[]): Promise<number> {
  let [one, three] = [0, 0];
  for (const seed of seeds) {
    for (const { nodeCount, goodputPerSecond } of await fleet(seed)) {
      if (nodeCount === 1) one += goodputPerSecond;
      else three += goodputPerSecond;
    }
  }
  return three / one;
}

async function fleet(seed: number): Promise<readonly Row[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      ...['dist/sparklane.js', 'fleet', '--json', '--seed', String(seed), '--minutes', String(MINUTES)],
      ...['--device', 'h200', '--model', 'qwen3-coder-30b-a3b', '--precision', 'fp8'],
      ...['--trace', 'loadtest/traces/agent-sessions-40.rle.jsonl.gz'],
      ...['--nodes', '1,3', '--policies', 'session-hash', '--sessions-per-node', '6'],
    ],
    { cwd: root, maxBuffer: 2 ** 26 },
  );
  return JSON.parse(stdout) as readonly Row[];
}
