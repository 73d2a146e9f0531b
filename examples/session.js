// A conversation on the server, from Node: context is computed while the question is still being written, an answer is read
// token by token, and a connection that is lost goes on where it was.
//   npm install sparklane-0.1.0.tgz && npx sparklane serve &
//   node session.js http://127.0.0.1:8080
import { connect, NativeError } from 'sparklane/client';

const url = process.argv[2] ?? 'http://127.0.0.1:8080';

try {
  const client = await connect(url, { apiKey: process.env.SPARKLANE_API_KEY, client: 'session-example' });
  const { model, limits } = client.hello;
  console.log(`[${model}, ${limits.contextTokensMax} tokens of context]`);

  const session = client.open({ temperature: 0 });
  const prefilled = session.nextPrefilled();
  await session.append({ messages: [{ role: 'user', content: 'Write a function that adds two numbers.' }] });
  const { position, cachedTokens } = await prefilled;
  console.log(`[${position} tokens ahead of the question, ${cachedTokens} of them found]`);

  // Read half of the answer, then lose the connection.
  const { id } = await session.opened;
  const answer = session.generate({ maxTokens: 24 });
  let heard = 0;
  for await (const { tokens, text } of answer) {
    process.stdout.write(text);
    heard += tokens.length;
    if (heard >= 12) break;
  }
  const { generation } = answer;
  client.close({ keepSessions: true });

  // Another connection has the rest of it, from the next token on.
  const again = await connect(url, { apiKey: process.env.SPARKLANE_API_KEY, session: id });
  const resumed = again.resume(id, { generation, index: heard });
  const rest = resumed.continued(generation);
  for await (const { text } of rest) process.stdout.write(text);
  const { usage } = await rest.end;
  console.log(`\n[${usage.outputTokens} tokens, ${heard} of them before the connection was lost]`);
  again.close();
} catch (error) {
  if (!(error instanceof NativeError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
