// What broke a conversation's prefix: tools, a message, or how the template renders them, beside the last turn's prompt.
import { describe, expect, test } from 'vitest';
import type { ChatMessage } from '../../../../models/template/chat-template.ts';
import { PromptTrail, type TrailBounds } from '../../../../server/chat/prompt-trail.ts';
import type { Tool } from '../../../../server/tools/definition.ts';
import { encodeBytes } from '../../../byte-text.ts';

const tokenizer = { decode: (ids: ArrayLike<number>) => Buffer.from(Array.from(ids)).toString() };

const says = (role: string, content: string): ChatMessage => ({ role, content }) as ChatMessage;
const tool = (name: string, description = ''): Tool =>
  ({ kind: 'function', name, description, parameters: null, strict: false }) as Tool;

interface Said {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly Tool[];
}

/** As a template would: tools first, then the messages, each with its role. */
function render({ messages, tools = [] }: Said): string {
  return `${tools.map(({ name }) => `<${name}>`).join('')}${messages.map(({ role, content }) => `${role}:${content as string};`).join('')}`;
}

function follower(bounds?: TrailBounds, spell = render) {
  const trail = new PromptTrail(tokenizer, bounds);
  return (said: Said, owner = 'a') =>
    trail.follow(owner, { messages: said.messages, tools: said.tools ?? [] }, encodeBytes(spell(said)));
}

const system = says('system', 'Be kind. It is 12:03.');
const question = says('user', 'What is a monad?');
const answer = says('assistant', 'A burrito.');
const more = says('user', 'Really?');

describe('a turn', () => {
  test('that only goes on breaks nothing, and the first of a conversation has no last one', () => {
    const follow = follower();
    expect(follow({ messages: [system, question] })).toBeNull();
    const length = render({ messages: [system, question] }).length;
    expect(follow({ messages: [system, question, answer, more] })).toEqual({
      tokens: length,
      sharedTokens: length,
      brokenBy: null,
    });
    expect(follow({ messages: [system, says('user', 'Another thing')] })).toBeNull();
  });

  test.each<[string, Said, Said, string, string]>([
    [
      'whose instructions have changed',
      { messages: [system, question, answer] },
      { messages: [says('system', 'Be kind. It is 12:04.'), question, answer, more] },
      'messages[0]',
      'changed',
    ],
    [
      'whose history was edited',
      { messages: [system, question, answer, more] },
      { messages: [system, question, says('assistant', 'A bun.'), more] },
      'messages[2]',
      'changed',
    ],
    [
      'with a message in between',
      { messages: [system, question, answer] },
      { messages: [system, says('user', 'Note'), question, answer] },
      'messages[1]',
      'inserted',
    ],
    [
      'without a message',
      { messages: [system, question, answer, more] },
      { messages: [system, question, more] },
      'messages[2]',
      'removed',
    ],
    [
      'with another tool',
      { messages: [system, question], tools: [tool('a')] },
      { messages: [system, question, answer], tools: [tool('a'), tool('b')] },
      'tools',
      'added',
    ],
    [
      'with tools in another order',
      { messages: [system, question], tools: [tool('a'), tool('b')] },
      { messages: [system, question, answer], tools: [tool('b'), tool('a')] },
      'tools',
      'reordered',
    ],
    [
      'without a tool',
      { messages: [system, question], tools: [tool('a'), tool('b')] },
      { messages: [system, question, answer], tools: [tool('b')] },
      'tools',
      'removed',
    ],
  ])('%s is told so', (_, first, second, part, how) => {
    const follow = follower();
    follow(first);
    const last = follow(second)!;
    expect(last.brokenBy).toMatchObject({ part, how });
    expect(last.sharedTokens).toBeLessThan(last.tokens);
  });

  test('is told where the two prompts part, in a few words of each', () => {
    const follow = follower();
    follow({ messages: [system, question] });
    const now = says('system', 'Be kind. It is 12:59, yes.');
    expect(follow({ messages: [now, question, answer] })!.brokenBy).toMatchObject({
      was: '12:03.;user:',
      now: '12:59, yes.;',
    });
  });

  test('that its template renders otherwise is told so', () => {
    let count = 0;
    const follow = follower(undefined, (said) => `${count++} o'clock;${render(said)}`);
    follow({ messages: [system, question] });
    expect(follow({ messages: [system, question, answer] })!.brokenBy).toMatchObject({
      part: 'template',
      how: 'rendered otherwise',
    });
  });

  test('that asks again, or goes back, computes nothing that its last one has not', () => {
    const follow = follower();
    follow({ messages: [system, question, answer, more] });
    expect(follow({ messages: [system, question, answer, more] })!.brokenBy).toBeNull();
    expect(follow({ messages: [system, question] })!.brokenBy).toBeNull();
  });
});

describe('what is remembered', () => {
  test('belongs to one API key', () => {
    const follow = follower();
    follow({ messages: [system, question] }, 'a');
    expect(follow({ messages: [system, question, answer] }, 'b')).toBeNull();
  });

  test('is bounded in keys, prompts and tokens', () => {
    const follow = follower({ ownerCountMax: 2, promptCountMax: 2, tokensMax: 120 });
    const ask = (text: string, owner: string) => follow({ messages: [says('user', text)] }, owner);
    for (const owner of ['a', 'b', 'c']) ask('hi', owner);
    expect([ask('hi', 'a'), ask('hi', 'c')?.tokens]).toEqual([null, 8]);
    for (const text of ['one', 'two', 'three']) ask(text, 'c');
    expect([ask('one', 'c'), ask('three', 'c')?.tokens]).toEqual([null, 11]);
    ask('x'.repeat(200), 'c');
    expect(ask('three', 'c')).toBeNull();
  });

  test('of several conversations the nearest is the last turn', () => {
    const follow = follower();
    follow({ messages: [system, question, answer, more] });
    follow({ messages: [system, question, says('assistant', 'No.')] });
    const last = follow({ messages: [system, question, answer, more, says('assistant', 'Yes.')] })!;
    expect(last).toMatchObject({
      tokens: render({ messages: [system, question, answer, more] }).length,
      brokenBy: null,
    });
  });
});
