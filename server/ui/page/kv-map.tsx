// The store of KV blocks as a map: a cell for each block, or for a few where there are many. Before it: live-pane.tsx.
import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { LiveDevice, LiveKv } from './live-report.ts';
import { bytes, count, percent } from './numbers.ts';
import { useThemeChange } from './use-theme-change.ts';

const CELL = 11; // pixels, gap included
const GAP = 2;
const COLOURS: Readonly<Record<string, string>> = {
  f: '--cell-free',
  k: '--cell-kept',
  u: '--cell-used',
  s: '--cell-shared',
};

export function KvMap({ kv, device }: { readonly kv: LiveKv; readonly device: LiveDevice }): VNode {
  const { freeBlocks, keptBlocks, inUseBlocks, blocksPerCell, diskBytes, diskBytesMax } = kv;
  const total = freeBlocks + keptBlocks + inUseBlocks;
  const says = `${inUseBlocks} of ${total} blocks in use, ${keptBlocks} kept for reuse, ${freeBlocks} free`;
  const size = (blocks: number): string =>
    device.blockBytes > 0 ? ` · ${bytes(blocks * device.blockBytes)}` : '';
  return (
    <section class="card block kv" aria-label="KV cache">
      <header>
        <h2>KV cache</h2>
        <span class="hint">
          {count(total)} blocks of {device.blockSize} tokens
          {blocksPerCell > 1 && `, ${blocksPerCell} a cell`}
        </span>
      </header>
      <Cells cells={kv.cells} label={says} />
      <ul class="legend">
        <Key kind="used" words={`in use ${count(inUseBlocks)}${size(inUseBlocks)}`} />
        <Key kind="shared" words="shared by several" />
        <Key kind="kept" words={`kept for reuse ${count(keptBlocks)}${size(keptBlocks)}`} />
        <Key kind="free" words={`free ${count(freeBlocks)}`} />
      </ul>
      <dl class="tiers">
        <Tier name="Memory" share={(inUseBlocks + keptBlocks) / Math.max(1, total)} />
        {diskBytes !== null && (
          <Tier name={`Disk, ${bytes(diskBytes)}`} share={diskBytes / Math.max(1, diskBytesMax)} />
        )}
      </dl>
    </section>
  );
}

function Tier({ name, share }: { readonly name: string; readonly share: number }): VNode {
  return (
    <div class="tier">
      <dt>{name}</dt>
      <dd>
        <meter min={0} max={1} value={share} aria-label={name} /> {percent(share)}
      </dd>
    </div>
  );
}

function Key({ kind, words }: { readonly kind: string; readonly words: string }): VNode {
  return (
    <li>
      <span class={`swatch cell-${kind}`} /> {words}
    </li>
  );
}

export function Cells({ cells, label }: { readonly cells: string; readonly label: string }): VNode {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current!;
    draw(element, cells);
    const follow = new ResizeObserver(() => draw(element, cells));
    follow.observe(element);
    return () => follow.disconnect();
  }, [cells]);
  useThemeChange(() => draw(canvas.current!, cells));
  return <canvas ref={canvas} class="cells" role="img" aria-label={label} />;
}

function draw(canvas: HTMLCanvasElement, cells: string): void {
  const width = canvas.clientWidth;
  if (width === 0) return;
  const columns = Math.max(1, Math.floor((width + GAP) / CELL));
  const rows = Math.ceil(cells.length / columns);
  const scale = devicePixelRatio;
  canvas.style.height = `${rows * CELL - GAP}px`;
  canvas.width = width * scale;
  canvas.height = (rows * CELL - GAP) * scale;
  const context = canvas.getContext('2d')!;
  const style = getComputedStyle(document.documentElement);
  context.scale(scale, scale);
  for (let at = 0; at < cells.length; at++) {
    context.fillStyle = style.getPropertyValue(COLOURS[cells[at]!] ?? '--line');
    context.fillRect((at % columns) * CELL, Math.floor(at / columns) * CELL, CELL - GAP, CELL - GAP);
  }
}
