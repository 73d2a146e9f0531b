// GET /v1/responses/{id}?stream=true&starting_after=n: the events of a background response, those that were and those that
// come. Owns one reader's place and its pace; watching changes nothing, leaving cancels nothing. Before it: routes.ts;
// after it: event-log.ts.
import { errorEnvelope, fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import { EventStream } from '../http/sse.ts';
import type { EventLog } from './event-log.ts';
import type { ResponsesService } from './responses-service.ts';

/** Answers the call. `next`: sequence number of the first event that is wanted. */
export function watchResponse(call: HttpCall, log: EventLog, next: number, service: ResponsesService): void {
  if (log.at(next) === 'gone') {
    const message = `starting_after: the events up to ${next} are no longer kept; read the response whole`;
    call.refuse(fault('replay_gone', message, { param: 'starting_after' }));
    return;
  }
  let number = next;
  let slow = false;
  const stream = new EventStream(call, {
    clock: service.clock,
    bufferSizeMax: service.bounds.streamBufferSizeMax,
    onSlow: () => {
      slow = true;
    },
    onReady: () => {
      slow = false;
      more();
    },
  });
  const more = (): void => {
    while (!slow && !call.over) {
      const event = log.at(number);
      if (event === 'gone') {
        const gone = fault('replay_gone', 'this reader is too slow: what it lacks is no longer kept');
        stream.send(JSON.stringify({ type: 'error', ...errorEnvelope(gone) }), 'error');
        stream.end();
      } else if (event !== null) {
        number++;
        stream.send(event.json, event.type);
      } else {
        if (log.ended) stream.end();
        return;
      }
    }
  };
  const unfollow = log.follow(more);
  call.onOver(() => {
    unfollow();
    stream.stop();
  });
  more();
}
