// Requests through a server with two lanes, in virtual time: which lane answers, what the answer says about it, what
// the other model is told, what it costs. The quick lane is the server's own model, the strong one an upstream.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { lanesServer, TWO_LANES } from '../../../lanes-world.ts';
import {
  hermesCall,
  type Json,
  responseOf,
  sseEvents,
  typesOf,
  withoutRepeats,
} from '../../../responses-world.ts';
import { chunksOf } from '../../../scripted-wire.ts';

const small = { messages: [{ role: 'user', content: 'Rename x to count in a.ts' }] };
const large = { messages: [{ role: 'user', content: 'Refactor the parser across the codebase' }] };
const shell = {
  type: 'function',
  name: 'shell',
  parameters: { type: 'object', properties: { command: { type: 'string' } }, required: ['command'] },
};

describe('chat completions', () => {
  test('auto goes where the policy says, and the answer says where and why', async () => {
    const server = await lanesServer();
    const quick = await server.chat({ model: 'auto', ...small });
    expect(quick.json).toMatchObject({
      model: 'spark',
      choices: [{ message: { content: 'quick' } }],
      metadata: { sparklane_lane: 'spark', sparklane_class: 'small-edit', sparklane_move: 'start' },
    });
    const strong = await server.chat({ model: 'auto', ...large });
    expect(strong.json).toMatchObject({
      model: 'reliability',
      choices: [{ message: { content: 'strong heard 1' }, finish_reason: 'stop' }],
      metadata: { sparklane_lane: 'reliability', sparklane_rule: 'scope-words' },
      usage: { prompt_tokens: 100, completion_tokens: 10, cost: 0.0012 },
    });
    expect(server.wire.asked[0]).toMatchObject({
      model: 'strong',
      stream: true,
      stream_options: { include_usage: true },
      messages: large.messages,
    });
    expect(server.server.logLines.filter((line) => line.includes('"routed"'))).toHaveLength(2);
  });

  test('the client may name a lane, and the server’s own model means the quick one', async () => {
    const server = await lanesServer();
    const named = await server.chat({ model: 'spark', ...large });
    expect(named.json).toMatchObject({
      model: 'spark',
      metadata: { sparklane_rule: 'asked', sparklane_class: 'feature' },
    });
    expect((await server.chat({ model: 'bytes', ...large })).json).toMatchObject({ model: 'spark' });
    expect((await server.chat({ model: 'gpt-5', ...large })).status).toBe(404);
  });

  test('an upstream’s answer streams on, with the lane in the first chunk and the cost in the last', async () => {
    const server = await lanesServer({ upstream: () => ({ pieces: chunksOf(['Hel', 'lo.']) }) });
    const call = await server.chat({ model: 'reliability', stream: true, ...small });
    const chunks = call.events as readonly Json[];
    expect(chunks[0]).toMatchObject({ model: 'reliability', metadata: { sparklane_lane: 'reliability' } });
    const texts = chunks.slice(1, 3).map((chunk) => (chunk['choices'] as [Json])[0]['delta']);
    expect(texts).toEqual([{ content: 'Hel' }, { content: 'lo.' }]);
    expect(chunks.at(-2)).toMatchObject({ choices: [{ finish_reason: 'stop' }], usage: { cost: 0.0012 } });
    expect(chunks.at(-1)).toBe('[DONE]');
  });

  test('an upstream’s tool calls become the route’s, streamed and whole', async () => {
    const calls = [
      { name: 'shell', arguments: ['{"comm', 'and": "ls"}'] },
      { name: 'shell', arguments: ['{"command": "pwd"}'] },
    ];
    const server = await lanesServer({ upstream: () => ({ pieces: chunksOf(['Let me look.'], { calls }) }) });
    const body = { model: 'reliability', ...small, tools: [{ type: 'function', function: shell }] };
    const whole = await server.chat(body);
    expect(whole.json).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: {
            content: 'Let me look.',
            tool_calls: [
              { function: { name: 'shell', arguments: '{"command": "ls"}' } },
              { function: { name: 'shell', arguments: '{"command": "pwd"}' } },
            ],
          },
        },
      ],
    });
    const streamed = await server.chat({ ...body, stream: true });
    expect(streamed.text).toContain('"finish_reason":"tool_calls"');
    expect(server.wire.asked[0]!['tools']).toMatchObject([{ type: 'function', function: { name: 'shell' } }]);
  });

  test('what cannot be had from an upstream is refused, and leaves the lane', async () => {
    const server = await lanesServer();
    const call = await server.chat({ model: 'reliability', logprobs: true, ...small });
    expect(call.status).toBe(400);
    expect(server.lanes.report.map(({ running }) => running)).toEqual([0, 0]);
    expect(server.wire.running).toBe(0);
  });

  test('routes that are not routed take the local lane for the own model, and count any lane in its tokens', async () => {
    const server = await lanesServer();
    const complete = (model: string) => server.request('POST', '/v1/completions', { model, prompt: 'a' });
    expect((await complete('spark')).status).toBe(200);
    expect((await complete('reliability')).status).toBe(400);
    const counted = await server.request('POST', '/v1/responses/input_tokens', {
      model: 'auto',
      input: 'Hi',
    });
    expect(counted.json).toMatchObject({ object: 'response.input_tokens' });
  });

  test('models lists the lanes', async () => {
    const server = await lanesServer();
    const list = (await server.request('GET', '/v1/models')).json as { data: { id: string }[] };
    expect(list.data.map(({ id }) => id)).toEqual(['bytes', 'spark', 'reliability', 'auto']);
    expect((await server.request('GET', '/v1/models/auto')).json).toMatchObject({ id: 'auto' });
  });
});

describe('styles', () => {
  test('each lane’s comes before what the client told, as one system message', async () => {
    const lanes = {
      spark: { ...TWO_LANES.spark, style: 'Minimal edits.' },
      reliability: { ...TWO_LANES.reliability, style: 'Validate.' },
    };
    const server = await lanesServer({ lanes });
    const told = [{ role: 'system', content: 'Speak Dutch.' }, ...small.messages];
    await server.chat({ model: 'spark', messages: told });
    expect(server.prompts[0]).toBe(
      'system: Minimal edits.\n\nSpeak Dutch.\nuser: Rename x to count in a.ts\nassistant: ',
    );
    await server.chat({ model: 'reliability', messages: told });
    expect(server.wire.asked[0]!.messages[0]).toEqual({
      role: 'system',
      content: 'Validate.\n\nSpeak Dutch.',
    });
  });

  test('without one of its own, spark is told to keep edits small and reliability to validate', async () => {
    const lanes = { spark: { model: 'local' }, reliability: { upstream: TWO_LANES.reliability.upstream } };
    const server = await lanesServer({ lanes });
    await server.create({ model: 'spark', input: 'Hi' });
    expect(server.prompts[0]).toContain('Write and run no tests and no builds unless you are asked to.');
    await server.create({ model: 'reliability', input: 'Hi' });
    expect(server.wire.asked[0]!.messages[0]!.content).toContain('Validate:');
  });
});

describe('the Responses API', () => {
  test('a session is promoted between turns, with the diff and the evidence, and comes down again', async () => {
    const patch = '*** Begin Patch\n*** Update File: a.ts\n-let x\n+let count\n*** End Patch';
    const say = (prompt: string) =>
      prompt.includes('Exit code: 0') ? 'Done.' : hermesCall('apply', { input: patch });
    const server = await lanesServer({ say });
    const tools = [
      {
        type: 'function',
        name: 'apply',
        parameters: { type: 'object', properties: { input: { type: 'string' } } },
      },
    ];
    const ask = async (input: unknown, previous?: string) =>
      (await server.create({ model: 'auto', input, tools, previous_response_id: previous ?? null }))
        .json as Json & {
        id: string;
        output: readonly Json[];
        metadata: Json;
      };
    const first = await ask('Rename x to count in a.ts');
    expect(first.metadata).toMatchObject({ sparklane_lane: 'spark', sparklane_move: 'start' });
    const callId = first.output[0]!['call_id'];
    const second = await ask(
      [{ type: 'function_call_output', call_id: callId, output: 'Exit code: 0\nok' }],
      first.id,
    );
    expect(second.metadata).toMatchObject({ sparklane_lane: 'spark', sparklane_move: 'stay' });
    const third = await ask('Now migrate all modules to it', second.id);
    expect(third.metadata).toMatchObject({
      sparklane_lane: 'reliability',
      sparklane_move: 'promote',
      sparklane_from: 'spark',
      sparklane_rule: 'scope-explicit',
    });
    const { messages } = server.wire.asked[0]!;
    expect(messages.map(({ role }) => role)).toEqual([
      'system',
      'user',
      'assistant',
      'tool',
      'assistant',
      'user',
    ]);
    expect(messages[0]!.content).toContain('Changed so far: a.ts (2 lines).');
    expect(messages[0]!.content).toContain('+let count');
    expect(messages[0]!.content).toContain('(exit code 0)');
    expect(messages[2]).toMatchObject({ tool_calls: [{ function: { name: 'apply' } }] });
    const fourth = await ask('Just fix the typo in a.ts', third.id);
    expect(fourth.metadata).toMatchObject({
      sparklane_lane: 'spark',
      sparklane_move: 'demote',
      sparklane_rule: 'small-again',
    });
    expect(server.prompts.at(-1)).toContain('strong heard');
  });

  test('an upstream’s answer has the events of any other', async () => {
    const calls = [{ name: 'shell', arguments: ['{"command"', ': "ls"}'] }];
    const server = await lanesServer({
      upstream: () => ({ pieces: chunksOf(['Let me', ' look.'], { calls }) }),
    });
    const events = sseEvents(
      await server.create({ model: 'reliability', input: 'Go', stream: true, tools: [shell] }),
    );
    expect(withoutRepeats(typesOf(events))).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(responseOf(events)).toMatchObject({
      model: 'reliability',
      metadata: { sparklane_lane: 'reliability' },
      usage: { input_tokens: 100, output_tokens: 10, cost: 0.0012 },
    });
  });

  test('a custom tool goes up as a function and comes back as text', async () => {
    const calls = [{ name: 'apply_patch', arguments: ['{"input": "*** Begin', ' Patch\\n*** End Patch"}'] }];
    const server = await lanesServer({ upstream: () => ({ pieces: chunksOf([], { calls }) }) });
    const tools = [{ type: 'custom', name: 'apply_patch', description: 'Patches.' }];
    const response = (await server.create({ model: 'reliability', input: 'Go', tools })).json as Json;
    expect(response['output']).toMatchObject([
      { type: 'custom_tool_call', name: 'apply_patch', input: '*** Begin Patch\n*** End Patch' },
    ]);
  });
});

test('a policy that changes is in force at the next look, one that is wrong is not', async () => {
  const server = await lanesServer();
  await server.chat({ model: 'auto', ...small });
  const all = JSON.parse(server.policy.text) as { rules: unknown[] };
  server.policy.text = JSON.stringify({
    ...all,
    rules: [],
    otherwise: { class: 'risky', reason: 'today everything is' },
  });
  expect(
    (await server.chat({ model: 'auto', messages: [{ role: 'user', content: 'Hello' }] })).json,
  ).toMatchObject({
    model: 'reliability',
  });
  server.policy.text = '{"name": 3}';
  expect(
    (await server.chat({ model: 'auto', messages: [{ role: 'user', content: 'Ahoy' }] })).json,
  ).toMatchObject({
    metadata: { sparklane_reason: 'today everything is' },
  });
  const line = server.server.logLines.find((each) => each.includes('cannot be used'));
  expect(line).toContain('"fault":"name: ');
  const { text } = await server.request('GET', '/metrics');
  expect(text).toContain('sparklane_policy_reads_total{outcome="used"} 1');
  expect(text).toContain('sparklane_policy_reads_total{outcome="refused"} 1');
});

test('a third class and lane are a matter of the files', async () => {
  const base = JSON.parse(readFileSync('policies/default.json', 'utf8')) as {
    classes: object;
    promote: object[];
  };
  const toReview = {
    name: 'review-asked',
    when: { facts: { 'words.review': { atLeast: 1 } } },
    to: 'review',
    reason: 'a review is asked for',
  };
  const policy = {
    ...base,
    order: ['spark', 'reliability', 'review'],
    classes: { ...base.classes, review: { lane: 'review', costOfFailure: 'medium' } },
    promote: [toReview, ...base.promote],
  };
  const review = { upstream: { url: 'http://judge.test/v1', model: 'judge' } };
  const server = await lanesServer({
    lanes: { ...TWO_LANES, review },
    policy: JSON.stringify(policy),
  });
  const first = await server.chat({ model: 'auto', prompt_cache_key: 's', ...small });
  const judged = await server.chat({
    model: 'auto',
    prompt_cache_key: 's',
    messages: [{ role: 'user', content: 'Review this change' }],
  });
  expect([first.json, judged.json]).toMatchObject([
    { model: 'spark' },
    { model: 'review', metadata: { sparklane_class: 'review', sparklane_move: 'promote' } },
  ]);
  expect(server.wire.asked[0]).toMatchObject({ model: 'judge' });
  expect(server.wire.asked[0]!.messages[0]!.content).toContain('You review a change');
});
