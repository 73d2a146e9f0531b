// Responses whose prompts are tokenised elsewhere say what they say where nothing goes elsewhere, in the same order.
import { expect, test } from 'vitest';

import type { HttpWorldOptions } from '../../../http-world.ts';
import { byteModel } from '../../../native-world.ts';
import { type Json, responseOf, responsesServer } from '../../../responses-world.ts';

const long = 'all work and no play '.repeat(1000);

async function setup(elsewhere: boolean) {
  let askedCount = 0;
  const app: HttpWorldOptions['app'] = elsewhere
    ? {
        encodeElsewhere: {
          encode: (text, _, done) => {
            askedCount++;
            const tokens = byteModel.tokenizer.encode(text);
            server.clock.schedule(5, () => done({ ok: true, tokens }));
          },
        },
      }
    : {};
  const server = await responsesServer({
    say: (prompt) => `heard ${prompt.length}`,
    engine: { contextTokensMax: 65_536 },
    app,
  });
  return { server, asked: () => askedCount };
}

const outputOf = (events: readonly Json[]) =>
  JSON.stringify(responseOf(events)['output']).match(/heard \d+/)?.[0];

async function said(elsewhere: boolean) {
  const { server, asked } = await setup(elsewhere);
  const client = server.connect();
  client.send({ type: 'response.create', model: 'bytes', input: long, store: false });
  client.send({ type: 'response.create', model: 'bytes', input: 'short', store: false });
  await server.settle();
  const texts = client
    .take()
    .filter((event) => event['type'] === 'response.completed')
    .map((event) => outputOf([event]));
  const http = await server.create({ input: `${long}by HTTP`, store: false });
  return {
    texts,
    http: JSON.stringify(http.json).match(/heard \d+/)?.[0],
    prompts: server.prompts,
    asked: asked(),
  };
}

test('over the socket one after the other, and over HTTP', async () => {
  const { asked: none, ...here } = await said(false);
  const { asked, ...elsewhere } = await said(true);
  expect(elsewhere).toEqual(here);
  expect([none, asked, here.texts.length]).toEqual([0, 2, 2]);
  expect(here.prompts[1]).toContain('short');
});

test('a socket that goes while its prompt is made leaves nothing behind', async () => {
  const { server } = await setup(true);
  const client = server.connect();
  client.send({ type: 'response.create', model: 'bytes', input: long, store: false });
  await server.settle(server.clock.nowMs() + 2);
  client.socket.disconnect();
  await server.settle();
  expect(server.prompts).toEqual([]);
});
