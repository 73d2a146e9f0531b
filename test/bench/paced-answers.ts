// A server whose pace is known, to hold load testers against each other (docs/lab/load-tester.md): 20 tokens, the first after 100 ms,
// then one every 10 ms of the request's own clock, usage at the end. Prints its address; ends by a signal.
import { delay, ScriptedServer } from '../sse-server.ts';

const TOKENS = 20;
const FIRST_MS = 100;
const GAP_MS = 10;
const head = { id: 'paced', object: 'chat.completion.chunk', created: 0, model: 'scripted' };

const server = await ScriptedServer.start(async ({ path }, response) => {
  if (path.endsWith('/models')) {
    response.respond(200, { object: 'list', data: [{ id: 'scripted', object: 'model' }] });
    return;
  }
  if (!path.endsWith('/chat/completions')) {
    response.respond(200, { status: 'ok' });
    return;
  }
  const begun = performance.now();
  const choice = (delta: object, finish: string | null) =>
    response.event({ ...head, choices: [{ index: 0, delta, finish_reason: finish }] });
  response.stream();
  for (let index = 0; index < TOKENS; index++) {
    await delay(begun + FIRST_MS + index * GAP_MS - performance.now()); // late tokens do not make later ones late
    choice({ role: 'assistant', content: 'tok ' }, null);
  }
  choice({}, 'length');
  const usage = { prompt_tokens: 50, completion_tokens: TOKENS, total_tokens: 50 + TOKENS };
  response.event({ ...head, choices: [], usage });
  response.event('[DONE]');
  response.end();
});
console.log(server.url);
