// Wafers from above: each region of cores with what its memory holds, lit by how busy it is. Before it: hardware-pane.tsx.
import type { VNode } from 'preact';
import type { PlanRegion, RegionsPlan } from '../../../kernels/device-plan.ts';
import { type Fill, fillsOf, regionName } from './floor-fill.ts';
import { percent } from './numbers.ts';

export interface FloorProps {
  readonly plan: RegionsPlan;
  readonly used: number; // blocks
  readonly kept: number; // blocks
  readonly busy: readonly number[] | null; // [region]
}

const CHIPS_MAX = 8; // drawn

export function FloorPicture({ plan, used, kept, busy }: FloorProps): VNode {
  const chips = Array.from({ length: Math.min(CHIPS_MAX, plan.chipCount) }, (_, chip) => chip);
  const busiest = busy === null ? 0 : Math.max(0, ...busy);
  const says = `${plan.regions.length} regions of cores; the busiest worked ${percent(busiest)} of the last second; KV holds ${percent(Math.min(1, used / plan.kvBlocks))} of its room`;
  return (
    <div class="floors" role="img" aria-label={says}>
      {chips.map((chip) => (
        <svg
          key={chip}
          viewBox={`-6 -6 ${plan.columns + 12} ${plan.rows + 12}`}
          class="floor"
          aria-hidden="true"
        >
          <rect class="die" x={-5} y={-5} width={plan.columns + 10} height={plan.rows + 10} rx={14} />
          {plan.regions.map((region, index) =>
            region.chip === chip ? (
              <Region
                key={index}
                region={region}
                fills={fillsOf(region, plan, { used, kept })}
                busy={busy?.[index] ?? 0}
              />
            ) : null,
          )}
        </svg>
      ))}
      {plan.chipCount > CHIPS_MAX && (
        <p class="hint">
          {CHIPS_MAX} of {plan.chipCount} are drawn.
        </p>
      )}
    </div>
  );
}

const GAP = 2.5; // cores

function Region({
  region,
  fills,
  busy,
}: {
  readonly region: PlanRegion;
  readonly fills: readonly Fill[];
  readonly busy: number;
}): VNode {
  const [x, y] = [region.x + GAP, region.y + GAP];
  const [width, height] = [Math.max(1, region.columns - 2 * GAP), Math.max(1, region.rows - 2 * GAP)];
  let below = y + height;
  return (
    <g>
      <rect class="free" x={x} y={y} width={width} height={height} rx={3} />
      {fills.map(({ kind, share }) => {
        const part = Math.min(1, share) * height;
        below -= part;
        return (
          <rect key={kind} class={`fill-${kind}`} x={x} y={Math.max(y, below)} width={width} height={part} />
        );
      })}
      <rect
        class="glow"
        x={x}
        y={y}
        width={width}
        height={height}
        rx={3}
        style={{ opacity: busy > 0 ? 0.2 + 0.8 * Math.sqrt(busy) : 0 }}
      />
      {width > 60 && (
        <text x={x + width / 2} y={y + height / 2 + 9} font-size={Math.min(34, width / 3.2)}>
          {regionName(region)}
        </text>
      )}
    </g>
  );
}
