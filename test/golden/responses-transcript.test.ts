// Every path through the Responses API as a transcript, over both framers: which events, in which order, with which
// fields. The model says what the test tells it to, in virtual time. Re-bless: make bless; read the diff.
import { expect, test } from 'vitest';
import {
  hermesCall,
  type Json,
  type ResponsesServer,
  responsesServer,
  sseEvents,
} from '../responses-world.ts';

const shell = {
  type: 'function',
  name: 'shell',
  description: 'Runs a command.',
  parameters: { type: 'object', properties: { command: { type: 'string' } }, required: ['command'] },
};
const patch = {
  type: 'custom',
  name: 'apply_patch',
  format: {
    type: 'grammar',
    syntax: 'lark',
    definition: 'start: "*** Begin Patch\\n" line+ "*** End Patch"\nline: /[+-][a-z]*/ "\\n"',
  },
};

interface Path {
  readonly name: string;
  readonly say: (prompt: string) => string;
  readonly body: object;
  readonly engine?: object;
}

const paths: readonly Path[] = [
  { name: 'text', say: () => 'Hi, Ada.', body: { input: 'Hi' } },
  {
    name: 'tool',
    say: () => `Let me look.\n${hermesCall('shell', { command: 'ls' })}`,
    body: { input: 'What is here?', tools: [shell] },
  },
  {
    name: 'parallel tools',
    say: () => `${hermesCall('shell', { command: 'ls' })}\n${hermesCall('shell', { command: 'pwd' })}`,
    body: { input: 'What is here?', tools: [shell] },
  },
  {
    name: 'custom tool',
    say: () => hermesCall('apply_patch', { input: '*** Begin Patch\n-a\n+b\n*** End Patch' }),
    body: { input: 'Change it', tools: [patch] },
  },
  {
    name: 'namespaced tool',
    say: () => hermesCall('files__read', { command: 'x' }),
    body: {
      input: 'Read',
      tools: [{ type: 'namespace', name: 'files', tools: [{ ...shell, name: 'read' }] }],
    },
  },
  {
    name: 'call cut short',
    say: () => hermesCall('shell', { command: 'a very long command' }),
    body: { input: 'Go', tools: [shell], max_output_tokens: 70 },
  },
  { name: 'cut short', say: () => 'Hi, Ada.', body: { input: 'Hi', max_output_tokens: 4 } },
  {
    name: 'failure',
    say: () => '',
    body: { input: 'Hi' },
    engine: {
      script: () => ({ tokens: [72, 105], failure: { code: 'worker-died', message: 'the worker died' } }),
    },
  },
  { name: 'too long', say: () => '', body: { input: 'x'.repeat(200) }, engine: { contextTokensMax: 64 } },
  { name: 'chain miss', say: () => '', body: { input: 'Hi', previous_response_id: 'resp_0' } },
];

test.each(paths)('$name, the same over SSE and WebSocket', async ({ name, say, body, engine = {} }) => {
  const overSse = await responsesServer({ say, engine });
  const call = await overSse.create({ store: false, stream: true, ...body });
  const overSocket = await responsesServer({ say, engine });
  const frames = await overSocket.connect().ask({ store: false, ...body });
  // A refusal is a status over HTTP and an event over WebSocket; everything else is the same events.
  const events =
    call.status === 200 ? sseEvents(call) : [{ http_status: call.status, ...(call.json as object) }];
  if (call.status === 200) expect(withoutIds(events)).toEqual(withoutIds(frames));
  const text = [transcript(events), ...(call.status === 200 ? [] : ['--- as a frame', transcript(frames)])];
  await expect(text.join('\n')).toMatchFileSnapshot(`responses/${name.replaceAll(' ', '-')}.txt`);
});

async function socketTranscript(
  say: (prompt: string) => string,
  act: (client: ReturnType<ResponsesServer['connect']>, server: ResponsesServer) => Promise<void>,
): Promise<string> {
  const server = await responsesServer({ say, engine: { tokensPerStep: 2 } });
  const client = server.connect();
  await act(client, server);
  await server.settle();
  return transcript(client.take());
}

test('a steered answer', async () => {
  const text = await socketTranscript(
    (prompt) => (prompt.includes('shorter') ? 'Short.' : 'A long, long answer.'),
    async (client, server) => {
      client.create({ input: 'Hi', store: false });
      await server.settle(6);
      client.send({ type: 'response.steer', previous_response_id: 'resp_2', input: 'shorter' });
    },
  );
  await expect(text).toMatchFileSnapshot('responses/steer.txt');
});

test('lanes, a warm-up and its turn', async () => {
  const text = await socketTranscript(
    () => 'Hi.',
    async (client, server) => {
      client.create({ input: 'System', store: false, generate: false });
      await server.settle(1);
      client.create({ input: 'a', store: false, previous_response_id: 'resp_2' });
      client.create({ input: 'b', store: false, stream_id: 'side' });
    },
  );
  await expect(text).toMatchFileSnapshot('responses/lanes.txt');
});

test('a cancelled answer ends without a word', async () => {
  const server = await responsesServer({ say: () => 'x'.repeat(100), engine: { tokensPerStep: 2 } });
  const client = server.connect();
  client.create({ input: 'Hi', store: false });
  await server.settle(4);
  client.socket.disconnect();
  await server.settle();
  await expect(transcript(client.take())).toMatchFileSnapshot('responses/cancel.txt');
});

/** One line an event; of the response object only what tells its state. */
function transcript(events: readonly Json[]): string {
  return events.map((event) => JSON.stringify(shortened(event))).join('\n');
}

function shortened(event: Json): Json {
  const response = event['response'] as Json | undefined;
  if (response === undefined) return event;
  const { id, status, output, usage, error, incomplete_details, previous_response_id } = response;
  return {
    ...event,
    response: { id, status, previous_response_id, output, usage, error, incomplete_details },
  };
}

/** The two servers count their ids apart. */
function withoutIds(events: readonly Json[]): unknown {
  return JSON.parse(JSON.stringify(events).replace(/"(resp|msg|fc|ctc|call)_\d+"/g, '"$1_"'));
}
