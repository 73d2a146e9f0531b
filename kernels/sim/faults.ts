// Seeded misfortune for simulated devices: slow, failed and lost steps. The seed decides, so a run can be repeated.
import type { DeviceFailure } from '../backend.ts';
import type { Random } from '../random.ts';

export interface FaultRates {
  readonly slow: number; // share of steps that take `slowFactor` times as long
  readonly slowFactor: number;
  readonly failRows: number; // share of steps that fail and lose their rows
  readonly failSlots: number; // … and every seat of the replica
  readonly failAll: number; // … and the block store
}

export interface SimFault {
  readonly durationFactor: number;
  readonly failure: DeviceFailure | null;
}

export function drawFault(rates: FaultRates, random: Random): SimFault {
  const durationFactor = random.next() < rates.slow ? rates.slowFactor : 1;
  const draw = random.next();
  return { durationFactor, failure: failureOf(rates, draw) };
}

function failureOf(rates: FaultRates, draw: number): DeviceFailure | null {
  if (draw < rates.failRows) return { code: 'step-failed', message: 'injected: step failed', lost: 'rows' };
  const orSlots = rates.failRows + rates.failSlots;
  if (draw < orSlots) return { code: 'worker-died', message: 'injected: worker died', lost: 'slots' };
  if (draw < orSlots + rates.failAll) {
    return { code: 'worker-hung', message: 'injected: device lost', lost: 'all' };
  }
  return null;
}
