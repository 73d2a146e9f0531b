import { expect, test } from 'vitest';
import { resolveModel } from '../../../../models/model.ts';
import { ChatTemplate } from '../../../../models/template/chat-template.ts';
import { plainPrompt } from '../../../../server/chat/prompt-options.ts';
import type { Tool } from '../../../../server/tools/definition.ts';
import { hermes, llama3, takesTools } from '../../../../server/tools/dialect.ts';
import { renderToolPrompt, writeToolMessages } from '../../../../server/tools/prompt.ts';

const template = ChatTemplate.load(resolveModel('spark-nano'))!;
const weather: Tool = {
  kind: 'function',
  name: 'weather',
  description: 'Tells it',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
  strict: true,
};
const patch: Tool = {
  kind: 'custom',
  name: 'apply_patch',
  description: 'Edits',
  format: { kind: 'lark', definition: 'start: "x"' },
};

test('a template without tools gets them in the system message', () => {
  expect(takesTools(template)).toBe(false);
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Weather?' },
  ];
  const text = renderToolPrompt(template, {
    messages,
    tools: [weather, patch],
    syntax: { kind: 'own', dialect: hermes },
    options: plainPrompt,
  });
  expect(text).toMatch(/^<\|im_start\|>system\nBe brief\.\n\n# Tools\n/);
  expect(text).toContain('"name":"weather"');
  expect(text).toContain('start: \\"x\\"');
  expect(text).toMatch(/<\|im_start\|>assistant\n$/);
});

test('a conversation without tools is rendered as it is', () => {
  const messages = [{ role: 'user', content: 'Hello' }];
  const plain = template.render(messages, { addGenerationPrompt: true });
  expect(
    renderToolPrompt(template, {
      messages,
      tools: [],
      syntax: { kind: 'own', dialect: hermes },
      options: plainPrompt,
    }),
  ).toBe(plain);
});

test('calls and their results become turns, results of parallel calls one', () => {
  const call = { id: 'c', type: 'function', function: { name: 'weather', arguments: '{"city": "Bonn"}' } };
  const messages = [
    { role: 'user', content: 'Weather?' },
    { role: 'assistant', content: null, tool_calls: [call, call] },
    { role: 'tool', content: 'sun', tool_call_id: 'c' },
    { role: 'tool', content: 'rain', tool_call_id: 'd' },
  ];
  expect(writeToolMessages(messages, { functions: [], dialect: hermes }).slice(1)).toEqual([
    {
      role: 'assistant',
      content: Array(2)
        .fill('<tool_call>\n{"name": "weather", "arguments": {"city": "Bonn"}}\n</tool_call>')
        .join('\n'),
    },
    {
      role: 'user',
      content: '<tool_response>\nsun\n</tool_response>\n<tool_response>\nrain\n</tool_response>',
    },
  ]);
  expect(writeToolMessages(messages, { functions: [], dialect: llama3 })[1]!.content).toContain(
    '"parameters": {"city"',
  );
});
