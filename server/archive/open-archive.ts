// From a config to an open archive: where it lies, how large its parts are, and what its keys cover. Owns no block.
// Before it: cli/local-server.ts; after it: kv-archive.ts.
import type { Backend } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import type { Model } from '../../models/model.ts';
import type { Log } from '../base/log.ts';
import { ownedKey } from '../base/owner.ts';
import type { Config } from '../config/config.ts';
import type { ArchiveObserver } from './archive-observer.ts';
import { FolderDisk } from './disk.ts';
import { KeyChain } from './key-chain.ts';
import { type CopyableBlocks, KvArchive } from './kv-archive.ts';

export interface OpenArchiveParts {
  readonly config: Config;
  readonly model: Pick<Model, 'chatTemplate'>;
  readonly backend: Backend;
  readonly kvIdentity: string; // of the device: model content and precision
  readonly clock: Clock;
  readonly epochMs: () => number;
  readonly freshId: () => string;
  readonly log: Log;
  readonly observer: ArchiveObserver;
}

const SUFFIX = '.sparklane-kv';
const SEGMENT_SIZE_MAX = 64 * 2 ** 20; // bytes; what one eviction gives up
const QUEUE_SIZE_MAX = 64 * 2 ** 20; // bytes that a kill -9 loses at most

/** Null where none is wanted, or the device's blocks cannot be copied. Throws what the system says of the folder. */
export function openArchive(parts: OpenArchiveParts): KvArchive | null {
  const { config, backend, clock, epochMs, freshId, log, observer } = parts;
  const { kvDiskSizeMax: sizeMax, kvDiskDirectory: directory } = config;
  if (sizeMax === 0) return null;
  if (!isCopyable(backend)) {
    log.warn('no KV on disk: this device cannot copy its blocks', { device: backend.name });
    return null;
  }
  const disk = new FolderDisk(directory, { suffix: SUFFIX, epochMs });
  const segmentSizeMax = Math.min(SEGMENT_SIZE_MAX, Math.floor(sizeMax / 8));
  const archive = new KvArchive({
    disk,
    clock,
    blocks: backend,
    bounds: { sizeMax, segmentSizeMax, queueSizeMax: QUEUE_SIZE_MAX },
    keys: blockKeys(parts, []),
    freshName: () => `${freshId()}${SUFFIX}`,
    observer,
    onFault: (reason) => log.error('KV cannot be written to disk', { directory, reason }),
  });
  log.info('KV on disk', { directory, sizeMax, blocks: archive.blockCount });
  return archive;
}

/** Names of blocks of this model on this device; `more`: what else their bytes depend on. */
export function blockKeys(
  {
    config,
    backend,
    kvIdentity,
    model,
  }: Pick<OpenArchiveParts, 'config' | 'backend' | 'kvIdentity' | 'model'>,
  more: readonly string[],
): KeyChain {
  return new KeyChain({
    blockSize: backend.limits.blockSize,
    namespace: [kvIdentity, backend.computedBy ?? backend.name, templateProbe(model), ...more],
    secretOf: (salt) => ownedKey(config.apiKeys, salt) ?? salt,
  });
}

export function isCopyable(backend: Backend): backend is Backend & CopyableBlocks {
  const { blockBytes = 0, readBlock, writeBlock } = backend;
  return blockBytes > 0 && readBlock !== undefined && writeBlock !== undefined;
}

/** What the template makes of one short conversation: another template says it otherwise. */
function templateProbe({ chatTemplate }: Pick<Model, 'chatTemplate'>): string {
  if (chatTemplate === null) return '';
  const probe = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'b' },
    { role: 'user', content: 'c' },
  ];
  try {
    return chatTemplate.render(probe, { addGenerationPrompt: true });
  } catch {
    return 'refuses the probe';
  }
}
