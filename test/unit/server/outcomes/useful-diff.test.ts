// When a streamed answer first contains a change that could be applied.
import { expect, test } from 'vitest';
import { UsefulDiff } from '../../../../server/outcomes/useful-diff.ts';

const original = [
  'function add(a, b) {',
  '  return a - b;',
  '}',
  '',
  'function one() {',
  '  return 1;',
  '}',
  '',
].join('\n');

/** Feeds character by character; returns what had been said when it became useful, or null. */
function usefulAfter(answer: string): string | null {
  const reader = new UsefulDiff(original);
  for (let at = 0; at < answer.length; at++) if (reader.push(answer[at]!)) return answer.slice(0, at + 1);
  return null;
}

test('a unified hunk is useful when its last counted line is there', () => {
  const hunk = [
    '--- a/x',
    '+++ b/x',
    '@@ -1,3 +1,3 @@',
    ' function add(a, b) {',
    '-  return a - b;',
    '+  return a + b;',
    ' }',
  ];
  const answer = `${hunk.join('\n')}\n more`;
  expect(usefulAfter(answer)).toBe(`${hunk.join('\n')}\n`);
});

test('a hunk with wrong line numbers still applies by its context', () => {
  expect(usefulAfter('@@ -40,2 +40,2 @@\n-  return a - b;\n+  return a + b;\n }\n')).not.toBeNull();
});

test('a hunk that does not fit, or changes nothing, is not useful', () => {
  expect(usefulAfter('@@ -1,1 +1,1 @@\n-  return a * b;\n+  return a + b;\n')).toBeNull();
  expect(usefulAfter('@@ -1,1 +1,1 @@\n   return 1;\n')).toBeNull();
});

test('apply_patch hunks end where the next one or the patch ends', () => {
  const patch = [
    '*** Begin Patch',
    '*** Update File: x.js',
    '@@',
    '-  return a - b;',
    '+  return a + b;',
    '*** End Patch',
    '',
  ];
  expect(usefulAfter(patch.join('\n'))).toBe(patch.join('\n'));
});

test('a search/replace block is useful when it closes and its search text is there', () => {
  const block = (search: string) => `<<<<<<< SEARCH\n${search}\n=======\n  return a + b;\n>>>>>>> REPLACE\n`;
  expect(usefulAfter(`Sure!\n${block('  return a - b;')}`)).toBe(`Sure!\n${block('  return a - b;')}`);
  expect(usefulAfter(block('  return a % b;'))).toBeNull();
});

test('a rewritten file is useful when it agrees with the original again after a change', () => {
  const rewritten = original.replace('a - b', 'a + b');
  expect(usefulAfter(rewritten)).toBe('function add(a, b) {\n  return a + b;\n}\n\n');
  expect(usefulAfter(`\`\`\`js\n${rewritten}\`\`\`\n`)).not.toBeNull();
});

test('a file that is only repeated, and babble, are not', () => {
  expect(usefulAfter(original)).toBeNull();
  expect(usefulAfter('return const let\nvalue index key\n\nfor while\n')).toBeNull();
});
