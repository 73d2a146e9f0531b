// Whatever JSON comes to /v1/responses, over either transport, the answer is an answer or a typed error that blames the
// request; never a crash, never a seat that stays taken.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Json, responsesServer } from '../../responses-world.ts';

const junk = fc.oneof(
  fc.constantFrom(null, true, 0, -1, 1e308, '', 'auto', 'none', 'required', 'text', [], {}),
  fc.string({ maxLength: 8 }),
  fc.jsonValue({ maxDepth: 3 }),
);

const item = fc.oneof(
  junk,
  fc.record(
    {
      type: fc.constantFrom(
        'message',
        'function_call',
        'function_call_output',
        'custom_tool_call',
        'custom_tool_call_output',
        'reasoning',
        'additional_tools',
        'item_of_tomorrow',
      ),
      role: fc.oneof(fc.constantFrom('user', 'assistant', 'developer', 'tool'), junk),
      content: fc.oneof(
        fc.string(),
        fc.array(fc.record({ type: fc.constant('input_text'), text: junk })),
        junk,
      ),
      call_id: fc.oneof(fc.constantFrom('call_1', 'call_2'), junk),
      name: fc.oneof(fc.constantFrom('shell', 'apply_patch'), junk),
      arguments: fc.oneof(fc.constantFrom('{}', '{"a":1}', '{"a":', '[]'), junk),
      input: junk,
      output: junk,
      tools: junk,
    },
    { requiredKeys: ['type'] },
  ),
);

const tool = fc.oneof(
  junk,
  fc.record(
    {
      type: fc.constantFrom('function', 'custom', 'namespace', 'web_search'),
      name: fc.oneof(fc.constantFrom('shell', 'apply_patch'), junk),
      description: junk,
      parameters: fc.oneof(fc.constant({ type: 'object', properties: { a: { type: 'string' } } }), junk),
      strict: junk,
      format: fc.oneof(
        fc.record({
          type: fc.constant('grammar'),
          syntax: fc.constantFrom('lark', 'regex'),
          definition: junk,
        }),
        junk,
      ),
      tools: fc.array(junk, { maxLength: 3 }),
    },
    { requiredKeys: ['type'] },
  ),
);

/** Mostly plausible, so that the odd field is reached and not hidden behind an earlier refusal. */
const body = fc.record(
  {
    input: fc.oneof(fc.string({ minLength: 1 }), fc.array(item, { maxLength: 5 })),
    tools: fc.oneof(fc.array(tool, { maxLength: 3 }), fc.constant([])),
    tool_choice: junk,
    text: fc.oneof(
      fc.record({ format: fc.record({ type: fc.constantFrom('json_schema', 'json_object'), schema: junk }) }),
      junk,
    ),
    instructions: fc.oneof(fc.string(), fc.array(item, { maxLength: 2 }), junk),
    previous_response_id: junk,
    metadata: junk,
    include: junk,
    truncation: junk,
    prediction: junk,
    reasoning: junk,
    client_metadata: junk,
  },
  { requiredKeys: ['input'] },
);

test('over HTTP and over the WebSocket', async () => {
  const server = await responsesServer({
    say: () => '<tool_call>\n{"name": "shell", "arguments": {}}\n</tool_call>',
    engine: { tokensPerStep: 64 },
  });
  const client = server.connect();
  await fc.assert(
    fc.asyncProperty(body, fc.boolean(), async (fields, stream) => {
      const call = server.send('POST', '/v1/responses', { max_output_tokens: 64, ...fields, stream });
      client.create({ max_output_tokens: 64, store: false, ...fields });
      await server.settle(server.clock.nowMs() + 2000);
      const events = client.take();
      expect([200, 400, 404]).toContain(call.status);
      const last = events.at(-1) as Json;
      expect(String(last['type'])).toMatch(/^(error|response\.(completed|incomplete|failed))$/);
      expect(last['type'] === 'error').toBe(call.status !== 200);
      expect(server.server.engine.activeCount).toBe(0);
      expect(server.server.logLines.filter((line) => line.includes('a route failed'))).toEqual([]);
    }),
    { numRuns: 150 },
  );
});
