// The default policy as a table: request → class, lane, move, rule, reason; and a session as it grows and shrinks again.
// Re-bless: make bless; read the diff.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { chatConversation } from '../../server/lanes/conversation.ts';
import { decideRoute, NEW_SESSION, nextState, type RouteDecision } from '../../server/lanes/decide.ts';
import { parsePolicy, vocabularyOf } from '../../server/lanes/policy.ts';
import { readSignals } from '../../server/lanes/signals.ts';

const policy = parsePolicy(JSON.parse(readFileSync('policies/default.json', 'utf8')));
const vocabulary = vocabularyOf(policy);

type Message = Readonly<Record<string, unknown>>;

const requests: readonly (string | readonly Message[])[] = [
  'Rename `x` to `count` in src/sum.ts.',
  'Fix the typo in README.md',
  'What does parsePolicy do?',
  'Add a --quiet flag to the CLI',
  'Add a --quiet flag in server/main.ts, server/cli/program.ts, server/cli/flags.ts and server/options.ts',
  'Refactor the error handling across the codebase',
  'Change how passwords are checked at login',
  'Review this diff for mistakes',
  'Fix src/a.ts, add unit tests and make sure they pass',
  'Port the parser to Rust on your own, until all tests pass',
  'Explain the authentication flow',
  `Implement this: ${'the table has one more column. '.repeat(450)}`,
  [
    { role: 'user', content: 'Add a cache to src/load.ts' },
    { role: 'assistant', content: 'Done.' },
    { role: 'user', content: "That's wrong, it still fails" },
    { role: 'assistant', content: 'Changed.' },
    { role: 'user', content: 'Still broken, undo that' },
  ],
  [
    { role: 'user', content: 'Fix src/a.ts' },
    ...[1, 2, 3].flatMap((index) => [
      callOf('shell', { command: 'npm test' }, index),
      { role: 'tool', tool_call_id: `call_${index}`, content: 'Exit code: 1\nFAIL' },
    ]),
  ],
];

function callOf(name: string, args: object, index: number): Message {
  const call = { id: `call_${index}`, type: 'function', function: { name, arguments: JSON.stringify(args) } };
  return { role: 'assistant', content: null, tool_calls: [call] };
}

function shown({ taskClass, lane, move, rule, reason, costOfFailure }: RouteDecision): string {
  return `${taskClass} (${costOfFailure}) → ${lane}, ${move}, by ${rule}: ${reason}`;
}

test('requests without a past', async () => {
  const lines = requests.map((request) => {
    const messages = typeof request === 'string' ? [{ role: 'user', content: request }] : request;
    const decision = decideRoute(policy, readSignals(chatConversation({ messages }), vocabulary));
    const asked = String(messages.at(-1)!['content'] ?? '')
      .slice(0, 90)
      .replaceAll('\n', ' ');
    return `${asked}\n  ${shown(decision)}\n`;
  });
  await expect(lines.join('')).toMatchFileSnapshot('./lanes/requests.txt');
});

test('a session that grows, is promoted, delegates, and becomes small again', async () => {
  const patch = (files: readonly string[]): string =>
    [
      '*** Begin Patch',
      ...files.flatMap((file) => [`*** Update File: ${file}`, '-a', '+b']),
      '*** End Patch',
    ].join('\n');
  const messages: Message[] = [];
  const lines: string[] = [];
  let state = NEW_SESSION;
  const say = (label: string, added: readonly Message[], delegated = 0): void => {
    messages.push(...added);
    const signals = readSignals(chatConversation({ messages }), vocabulary);
    const decision = decideRoute(policy, signals, { ...state, delegated });
    state = nextState(state, decision, signals);
    lines.push(`${label}\n  ${shown(decision)}\n`);
  };
  const user = (content: string): Message => ({ role: 'user', content });
  const output = { role: 'tool', tool_call_id: 'call_1', content: 'Exit code: 0\nDone' };
  say('a rename', [user('Rename x to count in src/sum.ts')]);
  say('its patch', [callOf('apply_patch', { input: patch(['src/sum.ts']) }, 1), output]);
  say('an ordinary change', [user('Now add a total to it')]);
  say('its patch grows', [
    callOf('apply_patch', { input: patch(['a.ts', 'b.ts', 'c.ts', 'd.ts', 'e.ts']) }, 1),
    output,
  ]);
  say('an ordinary change while it is large', [
    user(`Go on with the total: ${'every row has one. '.repeat(100)}`),
  ]);
  say('small again', [user('Just rename total to sum')]);
  say('the scope is said', [user('Now migrate all modules to the new total')]);
  say('a word while that is delegated', [user('Fix the typo in README.md')], 1);
  say('a large wish while that is delegated', [user('Refactor the CLI everywhere')], 1);
  say('what is expensive goes up nevertheless', [user('Change the payment rounding in production')], 1);
  await expect(lines.join('')).toMatchFileSnapshot('./lanes/session.txt');
});
