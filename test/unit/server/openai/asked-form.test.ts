// Constraints in the spellings of OpenAI, llama-server and vLLM: each is held, none is dropped, two at once are refused.
import { describe, expect, test } from 'vitest';
import { type Json, responsesServer } from '../../../responses-world.ts';

const messages = [{ role: 'user', content: 'Hi' }];
const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] };

/** Whether the form that a request asks for lets an answer begin with each of the texts. */
async function held(path: string, fields: Json, texts: readonly string[]): Promise<readonly boolean[]> {
  const server = await responsesServer({ say: () => 'x' });
  for (const _ of texts) server.send('POST', path, { messages, prompt: 'Hi', ...fields });
  await server.settle(server.clock.nowMs() + 1000);
  return texts.map((text, index) => {
    const constraint = server.server.submitted[index]!.constraint!;
    return [...Buffer.from(text)].every((token) => {
      const mask = constraint.mask();
      if (mask !== null && ((mask[token >>> 5]! >>> (token & 31)) & 1) === 0) return false;
      constraint.accept(token);
      return true;
    });
  });
}

describe('a form is held', () => {
  test.each([
    [{ response_format: { type: 'json_object', schema } }, '{"a":1}', '{"a":"1"}'],
    [{ json_schema: schema }, '{"a":1}', '{"a":"1"}'],
    [{ guided_json: JSON.stringify(schema) }, '{"a":1}', '{"a":"1"}'],
    [{ structured_outputs: { json: schema } }, '{"a":1}', '{"a":"1"}'],
    [{ structured_outputs: { json_object: true } }, '{"b":1}', '[1]'],
    [{ guided_regex: '[ab]{3}' }, 'aba', 'abc'],
    [{ structured_outputs: { regex: '[ab]{3}' } }, 'aba', 'abc'],
    [{ guided_choice: ['yes', 'no'] }, 'yes', 'maybe'],
    [{ structured_outputs: { choice: ['yes', 'no'] } }, 'no', 'maybe'],
    [{ grammar: 'root ::= "a" digit+\ndigit ::= [0-9]' }, 'a12', 'ab'],
    [{ guided_grammar: 'start: "a" /[0-9]/' }, 'a1', 'ab'],
    [{ structured_outputs: { grammar: 'root ::= [^a-c\\n]{2}' } }, 'xy', 'xa'],
  ])('%j', async (fields, fitting, other) => {
    expect(await held('/v1/chat/completions', fields, [fitting, other])).toEqual([true, false]);
  });

  test('of a text completion too', async () => {
    const fields = { guided_choice: ['yes', 'no'] };
    expect(await held('/v1/completions', fields, ['yes', 'maybe'])).toEqual([true, false]);
  });
});

describe('a form that cannot be held is refused with its field', () => {
  test.each<[Json, string]>([
    [{ response_format: { type: 'sound' } }, 'response_format.type'],
    [{ response_format: { type: 'json_schema', json_schema: 7 } }, 'response_format.json_schema'],
    [{ response_format: { type: 'json_schema' } }, 'response_format.schema'],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x' } } },
      'response_format.json_schema.schema',
    ],
    [{ json_schema: schema, grammar: 'root ::= "a"' }, 'json_schema'],
    [{ guided_json: '{' }, 'guided_json'],
    [{ grammar: 'root ::= "a' }, 'grammar'],
    [{ grammar: 'top ::= "a"' }, 'grammar'],
    [{ grammar: 'root ::= missing' }, 'grammar'],
    [{ guided_regex: '(' }, 'guided_regex'],
    [{ modalities: ['text', 'audio'] }, 'modalities'],
    [{ tool_choice: 'required' }, 'tool_choice'],
  ])('%j', async (fields, param) => {
    const server = await responsesServer({ say: () => 'x' });
    const call = server.send('POST', '/v1/chat/completions', { messages, ...fields });
    await server.settle(server.clock.nowMs() + 1000);
    expect([call.status, (call.json as { error: Json }).error['param']]).toEqual([400, param]);
  });

  test('also of a response', async () => {
    const server = await responsesServer({ say: () => 'x' });
    const unknown = await server.create({ input: 'Hi', text: { format: { type: 'sound' } } });
    const unkept = await server.create({ input: 'Hi', tool_choice: { type: 'function', name: 'zzz' } });
    expect([unknown.status, unkept.status]).toEqual([400, 400]);
    expect([unknown.json, unkept.json]).toMatchObject([
      { error: { param: 'text.format.type' } },
      { error: { param: 'tool_choice', message: "tool_choice: 'zzz' is not in tools" } },
    ]);
  });
});
