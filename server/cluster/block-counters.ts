// KV blocks that nodes share, as counters. Owns their names. Before it: shared-blocks.ts tells; after it: whoever reads /metrics.
import { Counter, type Registry } from 'prom-client';
import type { SharedBlocksObserver } from './shared-blocks.ts';

export function blockCounters(registry: Registry): SharedBlocksObserver {
  const add = (name: string, help: string, label: string) =>
    new Counter({ name: `sparklane_cluster_kv_${name}`, help, labelNames: [label], registers: [registry] });
  const blocks = add('blocks_total', 'KV blocks to and from the store that nodes share', 'way');
  const bytes = add('bytes_total', 'The same in bytes', 'way');
  const losses = add('lost_blocks_total', 'KV blocks not shared, or not as they were', 'reason');
  const carried = (way: string) => (blockCount: number, size: number) => {
    blocks.inc({ way }, blockCount);
    bytes.inc({ way }, size);
  };
  return {
    onBlocksShared: carried('written'),
    onBlocksBrought: carried('fetched'),
    onBlocksLost: (reason, blockCount) => losses.inc({ reason }, blockCount),
  };
}
