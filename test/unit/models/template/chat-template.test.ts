import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CheckpointError } from '../../../../models/files/model-file.ts';
import {
  type ChatMessage,
  ChatTemplate,
  ChatTemplateError,
} from '../../../../models/template/chat-template.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();
const chatMl =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

function load(
  config: Record<string, unknown> | null,
  files: Record<string, string> = {},
): ChatTemplate | null {
  mkdirSync(root, { recursive: true });
  const directory = mkdtempSync(join(root, 'template-'));
  if (config) writeFileSync(join(directory, 'tokenizer_config.json'), JSON.stringify(config));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return ChatTemplate.load(directory);
}

function render(template: string, messages: readonly ChatMessage[], tools?: readonly unknown[]): string {
  const loaded = load({ chat_template: template, bos_token: '<s>', eos_token: { content: '</s>' } })!;
  return loaded.render(messages, { addGenerationPrompt: true, ...(tools && { tools }) });
}

const hello = [{ role: 'user', content: 'hi' }];

test('a conversation becomes the text the model knows', () => {
  const messages = [{ role: 'system', content: 'Be brief.' }, ...hello];
  const template = load({ chat_template: chatMl })!;
  const body = '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n';
  expect(template.render(messages, { addGenerationPrompt: false })).toBe(body);
  expect(template.render(messages, { addGenerationPrompt: true })).toBe(`${body}<|im_start|>assistant\n`);
});

test('a directory without a template has none', () => {
  expect(load(null)).toBeNull();
  expect(load({ eos_token: null })).toBeNull();
});

test('chat_template.jinja goes before tokenizer_config.json', () => {
  const template = load(
    { chat_template: chatMl, bos_token: '<s>' },
    { 'chat_template.jinja': '{{ bos_token }}!' },
  )!;
  expect(template.render(hello, { addGenerationPrompt: true })).toBe('<s>!');
});

test('of several templates the one for tools is taken when there are tools', () => {
  const template = load({
    chat_template: [
      { name: 'default', template: 'plain' },
      { name: 'tool_use', template: '{{ tools | length }} tools' },
    ],
  })!;
  expect(template.render(hello, { addGenerationPrompt: true })).toBe('plain');
  expect(template.render(hello, { addGenerationPrompt: true, tools: [] })).toBe('plain');
  expect(template.render(hello, { addGenerationPrompt: true, tools: [{}] })).toBe('1 tools');
});

test('templates see the special tokens, as text or as objects', () => {
  expect(render('{{ bos_token }}{{ messages[0].content }}{{ eos_token }}', hello)).toBe('<s>hi</s>');
});

test('the white space of a template is trimmed as in transformers, a leading newline kept', () => {
  expect(render('\n{% if true %}\n  a\n{% endif %}\n', hello)).toBe('\n  a\n');
});

test('templates see the time only where there is one to see', () => {
  const dated =
    "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% else %}26 Jul 2024{% endif %}";
  expect(render(dated, hello)).toBe('26 Jul 2024');
  const directory = mkdtempSync(join(root, 'template-'));
  writeFileSync(join(directory, 'chat_template.jinja'), dated);
  const template = ChatTemplate.load(directory, undefined, () => new Date(2026, 0, 5));
  expect(template!.render(hello, { addGenerationPrompt: true })).toBe('05 Jan 2026');
});

test('a template that never ends is refused', () => {
  const endless = '{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}';
  expect(() => render(endless, hello)).toThrow(/takes more than \d+ steps/);
  expect(() => render('{% for a in range(10 ** 9) %}{% endfor %}', hello)).toThrow('Range too big');
  expect(() => render("{{ 'a' * 10 ** 9 }}", hello)).toThrow('too long');
  expect(() => render('{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', hello)).toThrow('calls itself');
});

test('text parts become one string', () => {
  const content = [
    { type: 'text', text: 'a' },
    { type: 'text', text: 'b' },
  ];
  expect(render('{{ messages[0].content }}', [{ role: 'user', content }])).toBe('a\nb');
  expect(render('{{ messages[0].content }}.', [{ role: 'user', content: [] }])).toBe('.');
});

test('a turn without content is empty', () => {
  expect(render(chatMl, [{ role: 'assistant', content: null }, { role: 'user' }])).toBe(
    '<|im_start|>assistant\n<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n',
  );
});

test('what a text model cannot take leaves a note', () => {
  const content = [
    { type: 'text', text: 'Look:' },
    { type: 'image_url', image_url: {} },
    { type: 'input_audio' },
  ];
  const text = render(chatMl, [{ role: 'user', content }] as unknown as ChatMessage[]);
  expect(text).toContain(
    'Look:\n[an image that this model cannot see]\n[a recording that this model cannot hear]<|im_end|>',
  );
});

test.each<[string, unknown, string]>([
  ['a number', 5, 'messages[0].content: expected a string'],
  ['an object', {}, 'messages[0].content: expected a string'],
  ['a part of another kind', [{ type: 'smell' }], 'messages[0].content[0]: a part of a type that'],
  [
    'a part without text',
    [{ type: 'text', text: 'a' }, { type: 'text' }],
    'messages[0].content[1]: a part of a type that',
  ],
])('content that is %s is refused by its field', (_, content, message) => {
  const messages = [{ role: 'user', content }] as unknown as ChatMessage[];
  expect(() => render(chatMl, messages)).toThrow(ChatTemplateError);
  expect(() => render(chatMl, messages)).toThrow(message);
});

const toolTemplate =
  '{% if tools is not none %}{% for tool in tools %}{{ tool.function.name }};{% endfor %}{% endif %}' +
  '{% for message in messages %}{% if message.tool_calls %}{% for call in message.tool_calls %}' +
  '{{ call.function.name }}({{ call.function.arguments | tojson }}){% endfor %}{% endif %}' +
  '{{ message.content }}{% endfor %}';
const call = (args: unknown) => [
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: '1', function: { name: 'read', arguments: args } }],
  },
];

test('tools and tool calls reach a template that knows them, arguments as objects', () => {
  expect(render(toolTemplate, hello, [{ function: { name: 'read' } }])).toBe('read;hi');
  expect(render(toolTemplate, call('{"path":"a"}'))).toBe('read({"path": "a"})');
  expect(render(toolTemplate, call({ path: 'a' }))).toBe('read({"path": "a"})');
  expect(render(toolTemplate, call(''))).toBe('read({})');
});

test('tools and tool calls that a template would drop are refused', () => {
  expect(() => render(chatMl, hello, [{}])).toThrow('tools: this model');
  expect(() => render(chatMl, call('{}'))).toThrow('messages[0].tool_calls: this model');
});

test('tool calls that are malformed are refused by field', () => {
  expect(() => render(toolTemplate, call('{'))).toThrow('messages[0].tool_calls[0].function.arguments');
  const noFunction = [{ role: 'assistant', tool_calls: [null] }];
  expect(() => render(toolTemplate, noFunction)).toThrow('messages[0].tool_calls[0].function: expected');
});

test("a template's own refusal is a ChatTemplateError with its words", () => {
  const strict = "{{ raise_exception('Roles must alternate') }}";
  expect(() => render(strict, hello)).toThrow(ChatTemplateError);
  expect(() => render(strict, hello)).toThrow('Roles must alternate');
  expect(() => render('{{ messages[0].content + none }}', hello)).toThrow(ChatTemplateError);
});

test('rendering leaves the conversation as it was', () => {
  const messages = call('{"path":"a"}');
  const before = structuredClone(messages);
  render(toolTemplate, messages);
  expect(messages).toEqual(before);
});

test('a template that does not parse is a fault of the model', () => {
  expect(() => load({ chat_template: '{% for %}' })).toThrow(CheckpointError);
  expect(() => load({ chat_template: '{% for %}' })).toThrow(
    'tokenizer_config.json: chat_template: does not parse',
  );
  expect(() => load(null, { 'chat_template.jinja': '{{' })).toThrow('chat_template.jinja: does not parse');
  expect(() => load({ chat_template: [] })).toThrow('has no template named "default"');
  expect(() => load({ chat_template: 5 })).toThrow(CheckpointError);
});

test('None that a dictionary, a list or a namespace holds is there', () => {
  const template = ChatTemplate.parse(
    "{% set ns = namespace(x=1) %}{% set ns.x = none %}{% set d = {'a': none} %}{{ ns.x is none }} {{ d.a is none }} {{ [none][0] is none }} {{ d.b is defined }}",
  );
  expect(template.render([{ role: 'user', content: 'a' }], { addGenerationPrompt: false })).toBe(
    'True True True False',
  );
});
