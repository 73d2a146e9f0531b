// KV blocks that nodes share, as the options ask for them. Owns what two nodes must have in common for their blocks to be the same to
// the last bit: model, precision and template as on disk, and processor and version of the program. Before it: cli/local-server.ts;
// after it: shared-blocks.ts.
import { blockKeys, isCopyable, type OpenArchiveParts } from '../archive/open-archive.ts';
import { RedisBlocks } from './redis-blocks.ts';
import { type NearArchive, SharedBlocks, type SharedBlocksObserver } from './shared-blocks.ts';
import { RedisLink } from './store-link.ts';

export interface OpenBlocksParts
  extends Pick<OpenArchiveParts, 'config' | 'model' | 'backend' | 'kvIdentity' | 'clock' | 'log'> {
  readonly processorName: string; // other ones may round otherwise
  readonly version: string; // of the program, with its runtime: likewise
  readonly near: NearArchive | null;
  readonly observer: SharedBlocksObserver;
}

/** Null where none are wanted, or the device's blocks cannot be copied: then `near` is all there is. */
export function openSharedBlocks(parts: OpenBlocksParts): NearArchive | null {
  const { config, backend, near, clock, log, observer, processorName, version } = parts;
  const { cluster: url, clusterKvSizeMax: sizeMax, clusterKvTtlMs: keepMs } = config;
  if (url === null || sizeMax === 0) return null;
  if (!isCopyable(backend)) {
    log.info('KV is not shared with other nodes: this device cannot copy its blocks', {
      device: backend.name,
    });
    return null;
  }
  // Of their own: blocks are large, and sessions do not wait behind them.
  const link = new RedisLink({ url, log: null });
  return new SharedBlocks({
    ...{ link, near, clock, observer, blocks: backend, closeLink: () => link.close() },
    store: new RedisBlocks(link.run, { prefix: 'sparklane:1:kv:', sizeMax, keepMs }),
    keys: blockKeys(parts, [processorName, version]),
  });
}
