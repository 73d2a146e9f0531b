// What is enforced of an answer's form: a schema that was asked for, or a refusal; a tool's as far as it goes.
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import type { Fault } from '../../../../server/base/errors.ts';
import { type AnswerForm, textSource, withForm } from '../../../../server/chat/form.ts';
import { toolSetOf } from '../../../../server/chat/tool-set.ts';
import { GrammarCompiler } from '../../../../server/grammar/compiler.ts';
import { hermes } from '../../../../server/tools/dialect.ts';
import { BYTE_EOS, BYTE_VOCAB_SIZE } from '../../../byte-text.ts';
import { wholeByteModel } from '../../../http-world.ts';
import { turn } from '../../../native-world.ts';

async function formOf(tools: readonly unknown[], format: object | null = null): Promise<AnswerForm | Fault> {
  const clock = new VirtualClock();
  const { tokenizer } = wholeByteModel;
  const compiler = new GrammarCompiler({
    tokenizer,
    vocabSize: BYTE_VOCAB_SIZE,
    stopTokenIds: [BYTE_EOS],
    clock,
  });
  const set = toolSetOf([tools], { choice: 'auto', parallel: true });
  const text = textSource(format as Readonly<Record<string, unknown>> | null);
  let result: AnswerForm | Fault | null = null;
  withForm(
    { tools: set, text, textParam: 'text.format' },
    { compiler, toolSyntax: { kind: 'own', dialect: hermes } },
    (form) => {
      result = form.ok ? form.value : form.fault;
    },
  );
  while (result === null) {
    await turn();
    clock.step();
  }
  return result;
}

/** Whether the form lets an answer be this text and end there. */
function allows(form: AnswerForm | Fault, text: string): boolean {
  if (!('newReader' in form)) throw new Error(form.message);
  const constraint = form.newConstraint?.() ?? null;
  if (constraint === null) return true;
  for (const token of [...Buffer.from(text), BYTE_EOS]) {
    const mask = constraint.mask();
    if (mask !== null && ((mask[token >>> 5]! >>> (token & 31)) & 1) === 0) return false;
    constraint.accept(token);
  }
  return true;
}

const call = (args: string) => `<tool_call>\n{"name": "shell", "arguments": ${args}}\n</tool_call>`;

describe('text', () => {
  test('whoever gets it and throws is told that it failed: a promise that nobody catches ends the process', async () => {
    const source = { compile: () => Promise.resolve(null as never) };
    const told: (string | boolean)[] = [];
    withForm(
      {
        tools: toolSetOf([], { choice: 'auto', parallel: true }),
        text: textSource({ type: 'json_object' }),
        textParam: '',
      },
      { compiler: source, toolSyntax: { kind: 'own', dialect: hermes } },
      (form) => {
        told.push(form.ok || form.fault.code);
        if (told.length === 1) throw new Error('broken');
      },
    );
    while (told.length < 2) await turn();
    expect(told).toEqual([true, 'internal_error']);
  });

  test('without tools and format is free, at once', () => {
    const set = toolSetOf([], { choice: 'auto', parallel: true });
    let called = false;
    const compiler = { compile: () => Promise.reject(new Error('nothing is to be compiled')) };
    withForm(
      { tools: set, text: null, textParam: '' },
      { compiler, toolSyntax: { kind: 'own', dialect: hermes } },
      (form) => {
        called = form.ok && form.value.newConstraint === null;
      },
    );
    expect(called).toBe(true);
  });

  test.each([
    {
      type: 'json_schema',
      name: 'x',
      schema: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
    },
    {
      type: 'json_schema',
      json_schema: {
        name: 'x',
        schema: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
      },
    },
  ])('of a schema, as either API writes it: %j', async (format) => {
    const form = await formOf([], format);
    expect([allows(form, '{"a": 1}'), allows(form, '{"a": "1"}'), allows(form, 'a')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('of json_object is any object', async () => {
    const form = await formOf([], { type: 'json_object' });
    expect([allows(form, '{"x": [1, null]}'), allows(form, '[]')]).toEqual([true, false]);
  });

  test('of a schema that is none is refused with its place', async () => {
    const fault = await formOf([], {
      type: 'json_schema',
      schema: { properties: { a: { type: 'sausage' } } },
    });
    expect(fault).toMatchObject({ code: 'invalid_request', param: 'text.format' });
    expect((fault as Fault).message).toContain('/properties/a');
  });
});

describe('tools', () => {
  const parameters = {
    type: 'object',
    properties: { n: { type: 'integer' } },
    required: ['n'],
    additionalProperties: false,
  };

  test('let text and calls that fit', async () => {
    const form = await formOf([{ type: 'function', name: 'shell', parameters }]);
    expect(allows(form, 'Just text.')).toBe(true);
    expect(allows(form, call('{"n": 1}'))).toBe(true);
    expect(allows(form, call('{"n": "one"}'))).toBe(false);
  });

  test('with a schema that cannot be enforced are enforced as far as JSON', async () => {
    const odd = { type: 'object', properties: { a: { type: 'sausage' } } };
    const form = await formOf([{ type: 'function', name: 'shell', parameters: odd, strict: true }]);
    expect(allows(form, call('{"anything": [1]}'))).toBe(true);
    expect(allows(form, call('{"anything"'))).toBe(false);
  });
});
