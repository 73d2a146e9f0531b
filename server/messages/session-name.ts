// What a client calls the conversation that a request belongs to: Claude Code says it in a header, and within the
// `user_id` of its metadata in two spellings. Pure. Before it: routes.ts; after it: lanes/router.ts.
import type { HttpRequest } from '../listeners/transport.ts';

/** null: it says nothing of the kind; a plain user_id names a person, who may have many. */
export function sessionNameOf(
  request: Pick<HttpRequest, 'header'>,
  userId: string | null | undefined,
): string | null {
  const header = request.header('x-claude-code-session-id');
  if (header !== '') return header;
  return /(?:_session_|"session_id"\s*:\s*")([\w-]+)/.exec(userId ?? '')?.[1] ?? null;
}
