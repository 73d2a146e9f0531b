// Whatever JSON comes to /v1/messages, the answer is a message or a typed error that blames the request; never a crash,
// never a seat that stays taken, and a stream says what a whole answer says.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Json, responsesServer, sseEvents } from '../../responses-world.ts';

const junk = fc.oneof(
  fc.constantFrom(null, true, 0, -1, 1e308, '', 'auto', 'any', 'enabled', [], {}),
  fc.string({ maxLength: 8 }),
  fc.jsonValue({ maxDepth: 3 }),
);

const block = fc.oneof(
  { weight: 1, arbitrary: junk },
  {
    weight: 9,
    arbitrary: fc.record(
      {
        type: fc.constantFrom(
          ...['text', 'image', 'document', 'tool_use', 'tool_result', 'thinking'],
          ...['redacted_thinking', 'search_result', 'block_of_tomorrow'],
        ),
        text: fc.oneof(fc.string(), junk),
        thinking: fc.oneof(fc.string(), junk),
        id: fc.oneof(fc.constantFrom('t1', 't2'), junk),
        tool_use_id: fc.oneof(fc.constantFrom('t1', 't2'), junk),
        name: fc.oneof(fc.constant('shell'), junk),
        input: fc.oneof(fc.constant({ a: 1 }), junk),
        content: junk,
        source: junk,
        title: junk,
        is_error: junk,
        cache_control: junk,
      },
      { requiredKeys: ['type', 'text', 'id'] },
    ),
  },
);

const message = fc.record({
  role: fc.constantFrom('user', 'assistant', 'user', 'system'),
  content: fc.oneof(fc.string(), fc.array(block, { maxLength: 3 })),
});

const tool = fc.oneof(
  junk,
  fc.record(
    {
      name: fc.oneof(fc.constantFrom('shell', 'edit'), junk),
      input_schema: fc.oneof(fc.constant({}), junk),
      type: junk,
    },
    { requiredKeys: ['name', 'input_schema'] },
  ),
);

/** Mostly plausible, so that the odd field is reached and not hidden behind an earlier refusal. */
const body = fc.record(
  {
    messages: fc.array(message, { minLength: 1, maxLength: 4 }),
    system: fc.oneof(fc.string(), fc.array(block, { maxLength: 2 })),
    tools: fc.oneof(fc.constant([{ name: 'shell', input_schema: {} }]), fc.array(tool, { maxLength: 2 })),
    tool_choice: fc.oneof(
      fc.record({ type: fc.constantFrom('auto', 'any', 'none', 'tool'), name: junk }),
      junk,
    ),
    thinking: fc.oneof(
      fc.record({ type: fc.constantFrom('enabled', 'adaptive'), budget_tokens: junk }),
      junk,
    ),
    output_config: fc.oneof(fc.record({ format: fc.record({ type: junk, schema: junk }) }), junk),
    stop_sequences: fc.oneof(fc.array(fc.string(), { maxLength: 3 }), junk),
    metadata: junk,
    top_k: junk,
    context_management: junk,
  },
  { requiredKeys: ['messages'] },
);

test('over HTTP', async () => {
  const server = await responsesServer({
    say: () => 'So:\n<tool_call>\n{"name": "shell", "arguments": {}}\n</tool_call>',
    engine: { tokensPerStep: 64 },
  });
  await fc.assert(
    fc.asyncProperty(body, async (fields) => {
      const ask = { max_tokens: 64, ...fields };
      const whole = server.send('POST', '/v1/messages', ask);
      const stream = server.send('POST', '/v1/messages', { ...ask, stream: true });
      const count = server.send('POST', '/v1/messages/count_tokens', fields);
      await server.settle(server.clock.nowMs() + 2000);
      expect([200, 400]).toContain(whole.status);
      expect(stream.status).toBe(whole.status);
      if (whole.status === 200) {
        const { content, stop_reason } = whole.json as { content: readonly Json[]; stop_reason: string };
        const events = sseEvents(stream);
        const stops = events.filter(({ type }) => type === 'content_block_stop');
        expect(stops).toHaveLength(content.length);
        expect(events.at(-2)).toMatchObject({ type: 'message_delta', delta: { stop_reason } });
        expect(count.status).toBe(200);
      } else expect(whole.json).toMatchObject({ type: 'error', error: { type: 'invalid_request_error' } });
      expect(server.server.engine.activeCount).toBe(0);
      expect(server.server.logLines.filter((line) => line.includes('a route failed'))).toEqual([]);
    }),
    { numRuns: 150 },
  );
});
