// The memory of GPUs (or of this machine) as one bar, its pages as cells, and the batch that is computed. Before it:
// hardware-pane.tsx.
import type { VNode } from 'preact';
import type { PagesPlan } from '../../../kernels/device-plan.ts';
import { Cells } from './kv-map.tsx';
import type { LiveReport } from './live-report.ts';
import { bytes, count, percent } from './numbers.ts';

export function MemoryPicture({ plan, report }: Readonly<{ plan: PagesPlan; report: LiveReport }>): VNode {
  const { kv, seats, device } = report;
  const blocks = Math.max(1, kv.freeBlocks + kv.keptBlocks + kv.inUseBlocks);
  const { memoryBytes, weightBytes, kvBytes } = plan;
  const used = (kvBytes * kv.inUseBlocks) / blocks;
  const kept = (kvBytes * kv.keptBlocks) / blocks;
  const parts = [
    { kind: 'weights', bytes: weightBytes, words: 'weights' },
    { kind: 'kv', bytes: used, words: 'KV in use' },
    { kind: 'kept', bytes: kept, words: 'KV kept for reuse' },
    { kind: 'free', bytes: kvBytes - used - kept, words: 'free pages' },
    { kind: 'program', bytes: Math.max(0, memoryBytes - weightBytes - kvBytes), words: 'for the rest' },
  ];
  const share = (part: number): string => `${(100 * part) / memoryBytes}%`;
  return (
    <div class="memory">
      <div
        class="memory-bar"
        role="img"
        aria-label={`Memory: ${parts.map((part) => `${part.words} ${percent(part.bytes / memoryBytes)}`).join(', ')}`}
      >
        {parts.map(({ kind, bytes: size }) => (
          <i key={kind} class={`fill-${kind}`} style={{ width: share(size) }} />
        ))}
      </div>
      <ul class="legend">
        {parts.map(({ kind, bytes: size, words }) => (
          <li key={kind}>
            <span class={`swatch fill-${kind}`} /> {words} {bytes(size)}
          </li>
        ))}
      </ul>
      <h3>Pages</h3>
      <Cells cells={kv.cells} label={`${count(kv.inUseBlocks)} of ${count(blocks)} pages in use`} />
      <h3>Batch</h3>
      <div
        class="batch"
        role="img"
        aria-label={`${seats.length} of ${device.replicaCount * device.slotCount} places taken`}
      >
        {seats.map((seat) => (
          <span
            key={`${seat.replica}/${seat.slot}`}
            class={seat.outputTokens === 0 ? 'prefill' : 'decode'}
            title={`${seat.promptTokens} + ${seat.outputTokens} tokens`}
          />
        ))}
        {seats.length === 0 && <span class="hint">empty</span>}
      </div>
    </div>
  );
}
