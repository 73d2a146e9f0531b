import { describe, expect, test } from 'vitest';
import { ChatTemplate } from '../../../../models/template/chat-template.ts';
import { plainPrompt } from '../../../../server/chat/prompt-options.ts';
import type { Tool } from '../../../../server/tools/definition.ts';
import { toolSyntaxOf } from '../../../../server/tools/dialect.ts';
import { ForeignReader } from '../../../../server/tools/foreign-reader.ts';
import { deepseek, type ForeignSyntax, mistral, qwenXml } from '../../../../server/tools/foreign-syntax.ts';
import { renderToolPrompt } from '../../../../server/tools/prompt.ts';
import { wholeByteModel } from '../../../http-world.ts';
import { responsesServer } from '../../../responses-world.ts';

const tool = (name: string, properties: object): Tool => ({
  kind: 'function',
  name,
  description: null,
  parameters: { type: 'object', properties },
  strict: false,
});
const tools = [
  tool('weather', { city: { type: 'string' }, days: { type: 'integer' } }),
  tool('stop', { now: { type: 'boolean' } }),
];

function read(pieces: readonly string[], syntax: ForeignSyntax, cut = false): string[] {
  const told: string[] = [];
  let text = '';
  const flush = () => {
    if (text !== '') told.push(`text ${text}`);
    text = '';
  };
  const reader = new ForeignReader(syntax, tools, {
    text: (piece) => {
      text += piece;
    },
    call: ({ name }, given) => {
      flush();
      told.push(`${name} ${given}`);
    },
    broken: ({ name }) => {
      flush();
      told.push(`broken ${name}`);
    },
  });
  for (const piece of pieces) reader.push(piece);
  reader.end(cut);
  flush();
  return told;
}

const calls = ['text Looking.', 'weather {"city":"Bonn <x>","days":2}', 'stop {"now":true}'];

const answers: readonly (readonly [string, ForeignSyntax, string])[] = [
  [
    'DeepSeek V3',
    deepseek,
    'Looking.\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"city": "Bonn <x>", "days": 2}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>stop\n```json\n{"now": true}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  ],
  [
    'DeepSeek V3.1',
    deepseek,
    'Looking.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{"city": "Bonn <x>", "days": 2}<｜tool▁call▁end｜><｜tool▁call▁begin｜>stop<｜tool▁sep｜>{"now": true}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  ],
  [
    'Mistral',
    mistral,
    'Looking.[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Bonn <x>", "days": 2}}, {"name": "stop", "arguments": {"now": true}}]',
  ],
  [
    'Mistral v11',
    mistral,
    'Looking.[TOOL_CALLS]weather[ARGS]{"city": "Bonn <x>", "days": 2}[TOOL_CALLS]stop[CALL_ID]123456789[ARGS]{"now": true}',
  ],
  [
    'Qwen3-Coder',
    qwenXml,
    'Looking.\n<tool_call>\n<function=weather>\n<parameter=city>\nBonn <x>\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=stop>\n<parameter=now>\ntrue\n</parameter>\n</function>\n</tool_call>',
  ],
];

describe.each(answers)('%s', (_, syntax, answer) => {
  test('is read however it comes', () => {
    expect(read([answer], syntax)).toEqual(calls);
    expect(read([...answer], syntax)).toEqual(calls);
  });

  test('cut anywhere shows no markup, and no call that is not whole', () => {
    for (let length = 1; length < answer.length; length++) {
      const told = read([...answer.slice(0, length)], syntax, true);
      const whole = told.filter((line) => !line.startsWith('broken'));
      const text = told.find((line) => line.startsWith('text'))?.trimEnd() ?? '';
      expect('text Looking.'.startsWith(text)).toBe(true);
      for (const line of whole.slice(1)) expect(calls).toContain(line);
    }
  });

  test('text alone stays as it is', () => {
    for (const text of ['Yes.', 'a < b, [x] and <b>', ' \n'])
      expect(read([...text], syntax)).toEqual([`text ${text}`]);
  });
});

test('a tool that nobody offered is told as text', () => {
  expect(read(['[TOOL_CALLS]other[ARGS]{"a": 1}'], mistral)).toEqual(['text other({"a":1})']);
});

const template = (call: string) =>
  `{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}${call}{% endfor %};{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}`;

const written: readonly (readonly [string, string, string])[] = [
  [
    'hermes',
    'own',
    '<tool_call>\n{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}',
  ],
  ['llama3', 'own', '{"name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}'],
  ['mistral', 'foreign', '[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}'],
  [
    'deepseek',
    'foreign',
    '<｜tool▁call▁begin｜>{{ c.function.name }}<｜tool▁sep｜>{{ c.function.arguments | tojson }}<｜tool▁call▁end｜>',
  ],
  ['qwen-xml', 'foreign', '<tool_call>\n<function={{ c.function.name }}>'],
];

test.each(written)('a template says what it writes: %s', (name, kind, call) => {
  const chatTemplate = ChatTemplate.parse(template(call));
  const syntax = toolSyntaxOf({ chatTemplate, tokenizer: wholeByteModel.tokenizer });
  expect(syntax.kind).toBe(kind);
  const told =
    syntax.kind === 'own' ? syntax.dialect.name : syntax.kind === 'foreign' ? syntax.syntax.name : null;
  expect(told).toBe(name);
});

test('a template that shows calls only beside no content, as text, and no tools, gets all three', () => {
  const chatTemplate = ChatTemplate.parse(
    "{% for m in messages %}{% if m.role == 'assistant' and m.content is none %}{% for c in m.tool_calls %}<｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ c.function.name + ' ' + c.function.arguments }}<｜tool▁call▁end｜>{% endfor %}{% else %}{{ m.role + ': ' + m.content + '; ' }}{% endif %}{% endfor %}",
  );
  const syntax = toolSyntaxOf({ chatTemplate, tokenizer: wholeByteModel.tokenizer });
  expect(syntax).toMatchObject({ kind: 'foreign', syntax: { name: 'deepseek' } });
  const call = { id: 'c', type: 'function', function: { name: 'weather', arguments: '{"city": "Bonn"}' } };
  const messages = [
    { role: 'user', content: 'Weather?' },
    { role: 'assistant', content: null, tool_calls: [call] },
    { role: 'tool', content: 'sun', tool_call_id: 'c' },
  ];
  const text = renderToolPrompt(chatTemplate, { messages, tools, syntax, options: plainPrompt });
  expect(text).toContain('<｜tool▁sep｜>weather {"city":"Bonn"}<｜tool▁call▁end｜>tool: sun');
  expect(text).toMatch(
    /^system: # Tools[\s\S]*"name":"weather"[\s\S]*write exactly:\n<｜tool▁calls▁begin｜>/,
  );
});

describe('requests', () => {
  const wire = tools.map(({ name, ...rest }) => ({
    type: 'function',
    function: { name, parameters: (rest as { parameters: unknown }).parameters },
  }));
  const messages = [{ role: 'user', content: 'Weather?' }];
  const server = (call: string, say: string) =>
    responsesServer({
      say: () => say,
      app: { model: { ...wholeByteModel, chatTemplate: ChatTemplate.parse(template(call)) } },
    });

  test('get calls in the model’s own syntax, which only auto may ask for', async () => {
    const { request } = await bound(server(written[2]![2], answers[3]![2]));
    const call = await request({ messages, tools: wire });
    expect(call.json).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: {
            content: 'Looking.',
            tool_calls: [{ function: { name: 'weather' } }, { function: { arguments: '{"now":true}' } }],
          },
        },
      ],
    });
    expect((await request({ messages, tools: wire, tool_choice: 'required' })).status).toBe(400);
    expect((await request({ messages, tools: wire, response_format: { type: 'json_object' } })).status).toBe(
      400,
    );
    expect((await request({ messages, tools: wire, tool_choice: 'none' })).status).toBe(200);
  });

  test('with tools are refused where nobody here reads what the model would write', async () => {
    const { request } = await bound(server('<|channel|>commentary to={{ c.function.name }}', 'x'));
    const call = await request({ messages, tools: wire });
    expect([call.status, call.json]).toMatchObject([400, { error: { param: 'tools' } }]);
    expect((await request({ messages })).status).toBe(200);
  });
});

async function bound(opened: ReturnType<typeof responsesServer>) {
  const server = await opened;
  return { request: (body: object) => server.request('POST', '/v1/chat/completions', body) };
}
