// POST /api/pull: what is here needs no pulling, and nothing is fetched while the server runs: its answer says how it is
// done. Before it: routes.ts.
import type { Fault } from '../base/errors.ts';
import type { ChatService } from '../chat/chat-service.ts';
import type { HttpCall } from '../http/http-call.ts';
import { EventStream } from '../http/sse.ts';

/** `absent`: why the model is not here. */
export function answerPull(
  call: HttpCall,
  asked: { readonly name: string; readonly stream: boolean; readonly absent: Fault | null },
  service: ChatService,
): void {
  const { name, absent } = asked;
  const refused = absent && {
    ...absent,
    message: `${absent.message}; sparklane pull ${name} fetches a model of the hub, sparklane serve --model ${name} serves it`,
  };
  if (!asked.stream) {
    if (refused === null) call.reply(200, { status: 'success' });
    else call.refuse(refused);
    return;
  }
  const stream = new EventStream(call, {
    clock: service.clock,
    framing: 'lines',
    bufferSizeMax: service.bounds.streamBufferSizeMax,
    onSlow: () => {},
    onReady: () => {},
  });
  // As with Ollama, a stream has begun before it is known what is not there.
  const lines = refused === null ? [{ status: 'pulling manifest' }, { status: 'success' }] : [];
  for (const line of lines) stream.send(JSON.stringify(line));
  if (refused !== null) stream.send(JSON.stringify(call.facts.errorBody(refused)));
  stream.end();
}
