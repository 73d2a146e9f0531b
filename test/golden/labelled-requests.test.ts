// The default policy against the labelled requests: how often it sends them where a person would, and which it does not.
// Re-bless: make bless; read the diff.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { decideLabelled, labelledTable } from '../../server/lanes/labelled.ts';
import { parsePolicy } from '../../server/lanes/policy.ts';

const policy = parsePolicy(JSON.parse(readFileSync('policies/default.json', 'utf8')));
const results = decideLabelled(policy, readFileSync('policies/labelled-requests.tsv', 'utf8'));

test('the router is right about most of 200 requests, also of those that were not looked at', async () => {
  expect(results).toHaveLength(200);
  expect(new Set(results.map(({ text }) => text)).size).toBe(200);
  for (const held of [false, true]) {
    const some = results.filter(({ heldOut }) => heldOut === held);
    const right = some.filter(({ wanted, decided }) => wanted === decided);
    expect(right.length / some.length).toBeGreaterThan(0.9);
  }
  await expect(labelledTable(results)).toMatchFileSnapshot('labelled-requests.txt');
});

test('a list that is none is refused by its line', () => {
  expect(() => decideLabelled(policy, '# ok\n\nen\tx\ttext\n')).toThrow(/^line 3: /);
});
