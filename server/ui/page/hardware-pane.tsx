// The device as a picture that moves: wafers from above, memory and pages of GPUs, or what this machine's steps cost; another
// device in its place, and several beside each other. Before it: whole-page.tsx; after it: live-feed.ts and GET /ui/hardware.
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { DevicePlan } from '../../../kernels/device-plan.ts';
import { type Api, wordsOf } from './api.ts';
import { Card } from './card.tsx';
import { CompareForm } from './compare-form.tsx';
import { Failure } from './controls.tsx';
import { CostTables } from './cost-tables.tsx';
import { DeviceForm } from './device-form.tsx';
import { FloorPicture } from './floor-picture.tsx';
import { type Hardware, readHardware } from './hardware.ts';
import { KvMap } from './kv-map.tsx';
import type { LiveFeed } from './live-feed.ts';
import type { LiveReport } from './live-report.ts';
import { MemoryPicture } from './memory-picture.tsx';
import { digits } from './numbers.ts';
import { useStore } from './use-store.ts';

export function HardwarePane({ api, feed }: { readonly api: Api; readonly feed: LiveFeed }): VNode {
  const [hardware, setHardware] = useState<Hardware | null>(null);
  const [failure, setFailure] = useState('');
  useEffect(() => feed.watch(), [feed]);
  const { report } = useStore(feed);
  const load = (): void => {
    readHardware(api).then(setHardware, (error: unknown) => setFailure(wordsOf(error)));
  };
  // Somebody else may switch the device as well.
  useEffect(load, [api, report?.device.description]);
  return (
    <div class="hardware">
      <header class="pane-head">
        <h1>Hardware</h1>
        <span class="grow" />
        <span class="hint">{report?.device.description}</span>
      </header>
      <Failure words={failure} />
      {hardware !== null && report !== null && (
        <div class="live-body">
          <div class="hardware-grid">
            <Picture plan={hardware.plan} report={report} />
            <div class="column">
              <CostTables
                costs={report.costs}
                hint={`medians of the latest steps, ${hardware.plan === null ? 'measured' : 'at the simulated pace'}`}
              />
              <DeviceForm api={api} hardware={hardware} onReplaced={load} />
            </div>
          </div>
          <CompareForm api={api} hardware={hardware} />
        </div>
      )}
    </div>
  );
}

function Picture({ plan, report }: { readonly plan: DevicePlan | null; readonly report: LiveReport }): VNode {
  const { kv, busy, device } = report;
  if (plan === null) return <KvMap kv={kv} device={device} />;
  const hint = `${plan.model} at ${plan.precision}, simulated; ${digits(plan.powerW / 1000)} kW`;
  const title = plan.chipCount === 1 ? plan.chip : `${plan.chipCount} × ${plan.chip}`;
  return (
    <Card title={title} hint={hint}>
      {plan.kind === 'regions' ? (
        <>
          <FloorPicture plan={plan} used={kv.inUseBlocks} kept={kv.keptBlocks} busy={busy} />
          <ul class="legend">
            {LEGEND.map(({ kind, words }) => (
              <li key={kind}>
                <span class={`swatch fill-${kind}`} /> {words}
              </li>
            ))}
          </ul>
          <p class="hint">Regions are numbered by their layers; they light up while they work.</p>
        </>
      ) : (
        <MemoryPicture plan={plan} report={report} />
      )}
    </Card>
  );
}

const LEGEND = [
  { kind: 'weights', words: 'weights' },
  { kind: 'act', words: 'activations' },
  { kind: 'kv', words: 'KV in use' },
  { kind: 'kept', words: 'KV kept for reuse' },
  { kind: 'program', words: 'program' },
  { kind: 'free', words: 'free' },
] as const;
