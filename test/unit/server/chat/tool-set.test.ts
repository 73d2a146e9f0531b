// Tools in the spellings of both APIs become one list for the model, and a choice among them.
import { describe, expect, test } from 'vitest';
import { toolChoiceFault, toolSetOf } from '../../../../server/chat/tool-set.ts';

const shell = { type: 'function', name: 'shell', parameters: { type: 'object' }, strict: true };
const patch = {
  type: 'custom',
  name: 'apply_patch',
  description: 'Changes files.',
  format: { type: 'grammar', syntax: 'lark', definition: 'start: "x"' },
};

function setOf(tools: unknown, choice: unknown = 'auto') {
  return toolSetOf([tools], { choice, parallel: true });
}

describe('tools', () => {
  test('are functions and custom tools; of a namespace the model sees one name, the client two', () => {
    const namespaced = { type: 'namespace', name: 'files', tools: [{ type: 'function', name: 'read' }] };
    const { shown } = setOf([
      shell,
      patch,
      namespaced,
      { type: 'web_search' },
      7,
      null,
      { type: 'function' },
    ]);
    expect(shown).toEqual([
      {
        tool: {
          kind: 'function',
          name: 'shell',
          description: null,
          parameters: { type: 'object' },
          strict: true,
        },
        wireName: 'shell',
        namespace: null,
      },
      {
        tool: {
          kind: 'custom',
          name: 'apply_patch',
          description: 'Changes files.',
          format: { kind: 'lark', definition: 'start: "x"' },
        },
        wireName: 'apply_patch',
        namespace: null,
      },
      {
        tool: { kind: 'function', name: 'files__read', description: null, parameters: null, strict: false },
        wireName: 'read',
        namespace: 'files',
      },
    ]);
  });

  test('of chat completions keep their fields one level deeper', () => {
    const nested = [
      { type: 'function', function: { name: 'shell', parameters: { type: 'object' } } },
      {
        type: 'custom',
        custom: { name: 'note', format: { type: 'grammar', grammar: { syntax: 'regex', definition: 'a+' } } },
      },
    ];
    expect(setOf(nested).shown.map(({ tool }) => tool)).toMatchObject([
      { kind: 'function', name: 'shell' },
      { kind: 'custom', name: 'note', format: { kind: 'regex', definition: 'a+' } },
    ]);
  });

  test('of the same name: the later one counts', () => {
    const { shown } = setOf([shell, patch, { ...shell, strict: false }]);
    expect(shown.map(({ tool }) => tool.name)).toEqual(['apply_patch', 'shell']);
  });

  test('with a grammar of an unknown syntax take any text', () => {
    const { shown } = setOf([{ ...patch, format: { type: 'grammar', syntax: 'abnf', definition: 'x' } }]);
    expect(shown[0]!.tool).toMatchObject({ format: { kind: 'text' } });
  });
});

describe('tool_choice', () => {
  test.each([
    ['auto', { kind: 'auto' }],
    ['required', { kind: 'required' }],
    ['none', { kind: 'none' }],
    [
      { type: 'function', name: 'shell' },
      { kind: 'named', name: 'shell' },
    ],
    [
      { type: 'function', function: { name: 'shell' } },
      { kind: 'named', name: 'shell' },
    ],
    [
      { type: 'custom', name: 'apply_patch' },
      { kind: 'named', name: 'apply_patch' },
    ],

    [{ type: 'allowed_tools', mode: 'required', tools: [shell] }, { kind: 'required' }],
  ])('%j is %j', (choice, expected) => {
    expect(setOf([shell, patch], choice).choice).toEqual(expected);
  });

  test('allowed_tools are shown all and callable in part, so that the prompt stays as it was', () => {
    const { shown, callable } = setOf([shell, patch], { type: 'allowed_tools', tools: [{ name: 'shell' }] });
    expect([shown.length, callable.map(({ wireName }) => wireName)]).toEqual([2, ['shell']]);
  });

  test('none shows no tools', () => {
    expect(setOf([shell], 'none').shown).toEqual([]);
  });

  test.each([
    ['always', '"always" is none of auto, none, required'],
    [{ type: 'function', name: 'gone' }, "'gone' is not in tools"],
    [{ type: 'function', function: { name: 'gone' } }, "'gone' is not in tools"],
    [{ type: 'web_search' }, "'web_search' is not in tools"],
    [{ type: 'allowed_tools', tools: [{ name: 'shell' }, { name: 'gone' }] }, "'gone' is not in tools"],
    [{ type: 'allowed_tools', tools: [] }, 'expected a list of tools'],
    [{ type: 'allowed_tools', mode: 'never', tools: [{ name: 'shell' }] }, 'expected auto or required'],
  ])('%j is refused', (choice, message) => {
    const refused = toolChoiceFault(choice, setOf([shell, patch], choice));
    expect(refused).toMatchObject({ code: 'invalid_request', param: 'tool_choice' });
    expect(refused!.message).toContain(message);
  });

  test.each([null, undefined, 'auto', 'none', 'required', { type: 'function', name: 'shell' }])(
    '%j is kept',
    (choice) => {
      expect(toolChoiceFault(choice, setOf([shell], choice))).toBeNull();
    },
  );

  test('required without a tool is refused, auto is not', () => {
    const kept = (choice: string) => toolChoiceFault(choice, setOf([], choice)) === null;
    expect([kept('required'), kept('auto'), kept('none')]).toEqual([false, true, true]);
  });
});
