// What GET /ui/hardware says. Types only, and the call.
import type { DevicePlan } from '../../../kernels/device-plan.ts';
import type { Api } from './api.ts';

export interface Hardware {
  readonly plan: DevicePlan | null; // null: the device cannot tell
  readonly devices: readonly string[]; // that may be named
  readonly models: readonly string[]; // whose shapes are known
  readonly precisions: readonly string[];
  readonly can_compare: boolean;
}

export interface Report {
  readonly name: string;
  readonly title: string;
  readonly atMs: number; // time of day
  readonly size: number; // bytes
  readonly path: string; // of the frame
}

export function readHardware(api: Pick<Api, 'json'>): Promise<Hardware> {
  return api.json<Hardware>('ui/hardware');
}
