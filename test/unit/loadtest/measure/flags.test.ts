// What was asked for and counts for nothing is said; what contradicts itself is refused.
import { expect, test } from 'vitest';
import { parseSettings } from '../../../../loadtest/measure/settings.ts';
import { unheardFlags } from '../../../../loadtest/measure/unheard-flags.ts';

const asGiven = { header: [], live: true }; // as commander gives them where nobody did

function namesOf(flags: Record<string, unknown>): string[] {
  return unheardFlags({ ...asGiven, ...flags }, parseSettings({ ...asGiven, ...flags })).map(
    (line) => /^--(\S+) counts for nothing here: it is of ./.exec(line)![1]!,
  );
}

test.each([
  [{}, []],
  [{ load: 'closed:2', duration: '5s', slo: 'ttft<1s', out: 'report' }, []],
  [{ workload: 'synthetic', isl: '100', osl: '10', prefixShare: '10%', turns: '2' }, []],
  [{ isl: '100', turns: '2' }, ['isl', 'turns']],
  [
    { workload: 'synthetic', trace: 'mine.jsonl', gapScale: '2', prompts: 'mine.jsonl' },
    ['trace', 'gap-scale', 'prompts'],
  ],
  [{ workload: 'edits-contrast', editFormat: 'diff', fileTokens: '500' }, ['file-tokens']],
  [{ goal: '90%', repeats: '5', blocks: '4' }, ['goal', 'repeats', 'blocks']],
  [{ capacity: '1..8', goal: '90%', tolerance: '10%' }, []],
  [
    { ab: 'chat', blocks: '4', load: 'closed:9', duration: '5s', scrape: true },
    ['load', 'duration', 'scrape'],
  ],
  [{ inProcess: true, url: 'http://127.0.0.1:1', header: ['a: b'], wallClock: true }, ['url', 'header']],
  [{ wallClock: true, listen: '7' }, ['wall-clock', 'listen']],
  [{ sweep: 'concurrency:1,2', load: 'closed:4' }, ['load']],
  [{ sweep: '1,2; concurrency:1', load: 'closed:4' }, []],
  [{ routes: 'models', connections: '2', load: 'closed:4', target: 'chat' }, ['target', 'load']],
  [{ record: 'mine.jsonl', listen: '7', duration: '5s', live: false }, ['duration', 'no-live']],
])('%j: %j', (flags, names) => {
  expect(namesOf(flags).sort()).toEqual([...names].sort());
});

test('connections beside a rate: refused, but for autocannon, which takes both', () => {
  const flags = { ...asGiven, routes: 'models', connections: '4', rate: '10' };
  expect(() => parseSettings(flags)).toThrow('--connections "4": expected no --rate beside it');
  expect(parseSettings({ ...flags, autocannon: true }).load).toEqual({ kind: 'constant', perSecond: 10 });
});

test.each([
  ['abort', '0%'],
  ['goal', '0'],
  ['tolerance', '0%'],
  ['timeout', '0'],
  ['duration', '0s'],
])('--%s %s means nothing, or no end: it is refused by name', (flag, value) => {
  expect(() => parseSettings({ ...asGiven, [flag]: value })).toThrow(
    new RegExp(`^--${flag} .*(above 0|at least)`),
  );
});
