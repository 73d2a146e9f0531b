// A simulated device as a backend to serve from: deterministic text of its own, or a real backend's answers, both at
// the simulated pace. For kernels/registry.ts; the rest of the server cannot tell.
import type { Backend } from '../backend.ts';
import type { Clock } from '../clock.ts';
import { planSimDevice, type SimDeviceOptions, simBackend } from './device.ts';
import { PacedBackend } from './paced.ts';
import { planPicture } from './plan.ts';

export interface ServedOptions extends SimDeviceOptions {
  readonly clock: Clock;
  readonly inner: Backend | null; // whose tokens to give; null: text that means nothing
}

/** Throws UnknownShapeError or DoesNotFitError. Closing it closes `inner`. */
export function openSimulated({ clock, inner, ...options }: ServedOptions): Backend {
  const device = planSimDevice({ ...options, ...(inner !== null && { blockSize: inner.limits.blockSize }) });
  const plan = planPicture(device);
  if (inner === null) return simBackend(device, device.timing(clock), { clock, plan });
  const timing = device.timing(clock, inner.limits);
  return new PacedBackend(`${device.name}+${inner.name}`, inner, { timing, clock, plan });
}
