// How soon a session answers, for benches of sessions.
import type { ClientSession } from '../../server/client/client-session.ts';

/** Appends and asks in one go; milliseconds until the first token is here. */
export async function firstToken(session: ClientSession, tokens: number[]): Promise<number> {
  const startMs = performance.now();
  let firstMs = 0;
  void session.append({ tokens });
  const answer = session.generate({ maxTokens: 2, ignoreStopTokens: true, speculation: false }, () => {
    firstMs ||= performance.now();
  });
  await answer.end;
  return firstMs - startMs;
}
