import { expect, test } from 'vitest';
import { Circuit } from '../../../../server/upstream/circuit.ts';

const bounds = { failures: 3, cooldownMs: 1000 };

function opened(): Circuit {
  const circuit = new Circuit(bounds);
  for (const nowMs of [0, 10, 20]) {
    expect(circuit.waitMs(nowMs)).toBe(0);
    circuit.failed(nowMs);
  }
  return circuit;
}

test('opens after so many failures in a row, and says how long to wait', () => {
  const circuit = new Circuit(bounds);
  circuit.failed(0);
  circuit.failed(0);
  circuit.succeeded(); // not in a row any more
  circuit.failed(0);
  circuit.failed(0);
  expect([circuit.state, circuit.waitMs(0)]).toEqual(['closed', 0]);
  circuit.failed(5);
  expect([circuit.state, circuit.waitMs(5), circuit.waitMs(405)]).toEqual(['open', 1000, 600]);
});

test('after the cooldown one tries, and nobody else until it has told how it went', () => {
  const circuit = opened();
  expect(circuit.waitMs(1019)).toBe(1);
  expect([circuit.waitMs(1020), circuit.state]).toEqual([0, 'trying']);
  for (const nowMs of [1020, 1021, 5000]) expect(circuit.waitMs(nowMs)).toBe(1000);
});

test('whoever tried and succeeded closes it for all', () => {
  const circuit = opened();
  circuit.waitMs(1020);
  circuit.succeeded();
  expect([circuit.state, circuit.waitMs(1021), circuit.waitMs(1021)]).toEqual(['closed', 0, 0]);
  circuit.failed(1022); // and counts from the start
  expect(circuit.state).toBe('closed');
});

test('whoever tried and failed opens it for another cooldown, after which one tries again', () => {
  const circuit = opened();
  circuit.waitMs(1020);
  circuit.failed(1500);
  expect([circuit.state, circuit.waitMs(1500)]).toEqual(['open', 1000]);
  expect([circuit.waitMs(2500), circuit.waitMs(2500)]).toEqual([0, 1000]);
});

test('whoever went away while trying leaves the trial to the next one', () => {
  const circuit = opened();
  circuit.waitMs(1020);
  circuit.abandoned();
  expect([circuit.waitMs(1021), circuit.waitMs(1021)]).toEqual([0, 1000]);
});
