// ArchiveObserver: what happens to blocks on disk, for metrics. Before it: kv-archive.ts and segments.ts tell; after it:
// server/metrics/metrics.ts counts.

export interface ArchiveObserver {
  onArchived(blockCount: number, bytes: number): void;
  onUnarchived(blockCount: number, bytes: number): void;
  /** Blocks that are not there (any more): not taken, thrown out for newer ones, damaged, or not to be written. */
  onArchiveLoss(reason: 'busy' | 'size' | 'damaged' | 'unwritable', blockCount: number): void;
  onArchiveSize(bytes: number): void;
}
