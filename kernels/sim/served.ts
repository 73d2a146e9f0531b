// A simulated device as a backend to serve from: deterministic text of its own, or a real backend's answers, both at
// the simulated pace. For kernels/registry.ts; the rest of the server cannot tell.
import type { Backend } from '../backend.ts';
import type { Clock } from '../clock.ts';
import { createSimDevice, planSimDevice, type SimDeviceOptions } from './device.ts';
import { PacedBackend } from './paced.ts';

export interface ServedOptions extends SimDeviceOptions {
  readonly clock: Clock;
  readonly inner: Backend | null; // whose tokens to give; null: text that means nothing
}

/** Throws UnknownShapeError or DoesNotFitError. Closing it closes `inner`. */
export function openSimulated({ clock, inner, ...options }: ServedOptions): Backend {
  if (inner === null) return createSimDevice({ ...options, clock });
  const device = planSimDevice({ ...options, blockSize: inner.limits.blockSize });
  return new PacedBackend(`${device.name}+${inner.name}`, inner, device.timing(clock, inner.limits), clock);
}
