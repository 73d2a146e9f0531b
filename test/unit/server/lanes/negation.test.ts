// Words that are negated do not count, as far as their clause goes; words of many languages do.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { chatConversation } from '../../../../server/lanes/conversation.ts';
import { parsePolicy, vocabularyOf } from '../../../../server/lanes/policy.ts';
import { readSignals } from '../../../../server/lanes/signals.ts';

const file = JSON.parse(readFileSync('policies/default.json', 'utf8')) as Record<string, unknown>;
const vocabulary = vocabularyOf(parsePolicy(file));
const wordsOf = (content: string, of = vocabulary) =>
  readSignals(chatConversation({ messages: [{ role: 'user', content }] }), of).words;

test.each([
  ["Don't refactor anything, fix the login", { wide: 0, change: 1 }],
  ['Refactor the login, but do not touch the billing code', { wide: 1, risk: 0 }],
  ["Don't forget to refactor", { wide: 1 }],
  ["Don't stop until all tests pass", { autonomy: 1 }],
  ['Not only fix it but refactor it', { wide: 1 }],
  ['Make it work without a migration', { wide: 0 }],
  ['Bitte nicht refaktorieren, benenne die Variable um', { wide: 0, small: 1 }],
  ['Ändere nichts, erkläre es', { change: 0, question: 1 }],
  ['Ne refactorise rien', { wide: 0 }],
  ['不要重构，修复它', { wide: 0, change: 1 }],
  ['リファクタリングはしないで、修正して', { wide: 0 }],
  ['Не рефактори, исправь', { wide: 0, change: 1 }],
])('%s', (text, expected) => {
  expect(wordsOf(text)).toMatchObject(expected);
});

test('a word with a star is whatever begins with it; letters of any script end a word', () => {
  const words = { small: ['umbenenn*'], change: ['add'], rework: [], risk: ['密码'] };
  const policy = { ...file, words: { ...(file['words'] as object), ...words } };
  const own = vocabularyOf(parsePolicy(policy));
  expect(wordsOf('umbenennen', own)).toMatchObject({ small: 1 });
  expect(wordsOf('unumbenennt addé', own)).toMatchObject({ small: 0, change: 0 });
  expect(wordsOf('更改密码存储', own)).toMatchObject({ risk: 1 });
  expect(() => parsePolicy({ ...policy, words: { ...policy.words, small: ['*'] } })).toThrow(/words\.small/);
});

test('text made to be slow is not', () => {
  const started = process.cpuUsage().user;
  for (const text of ["don't ".repeat(3000), 'refactor '.repeat(2000), `no ${'test '.repeat(4000)}`])
    wordsOf(text);
  expect(process.cpuUsage().user - started).toBeLessThan(5e6); // µs of processor; a quadratic reading takes minutes
});
