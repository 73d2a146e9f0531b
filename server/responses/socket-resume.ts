// `response.resume` on a socket: the events of a response that had begun on another connection, perhaps of a node that is gone, from
// the one on that its client lacks. Owns one reader's place in them. Before it: socket.ts; after it: event-log.ts and
// shared-responses.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { EventLog } from './event-log.ts';
import type { ResponseEvent } from './events.ts';
import type { ResponsesService } from './responses-service.ts';
import type { StoredResponse } from './store.ts';

export interface ResumeHost {
  readonly owner: string;
  readonly service: ResponsesService;
  readonly slow: boolean; // nothing is sent meanwhile
  send(event: ResponseEvent): void;
  refuse(refused: Fault): void;
  /** Nothing comes after it. */
  onEnd(): void;
}

const TRIES_MAX = 3; // a connection that held it goes while this one reads

export class SocketResume {
  readonly #id: string;
  readonly #host: ResumeHost;
  #next: number; // sequence number
  #log: EventLog | null = null;
  #unfollow: (() => void) | null = null;
  #tries = 0;
  #over = false;

  constructor({ id, next }: { readonly id: string; readonly next: number }, host: ResumeHost) {
    this.#id = id;
    this.#next = next;
    this.#host = host;
  }

  /** Once; calls back later where the response has to be fetched. */
  start(): void {
    const { shared } = this.#host.service;
    this.#tries++;
    if (shared === null) this.#read(null);
    else {
      const wanted = { id: this.#id, owner: this.#host.owner, taken: true };
      shared.responses.bring(wanted, (elsewhere) => {
        if (!this.#over) this.#read(elsewhere);
      });
    }
  }

  /** Sends what there is, as far as the connection takes it. */
  pump(): void {
    const log = this.#log;
    while (log !== null && !this.#over && !this.#host.slow) {
      const event = log.at(this.#next);
      if (event === 'gone') this.#refuse(gone(this.#next));
      else if (event === null) {
        if (log.ended) this.#onLogEnd();
        return;
      } else {
        this.#next++;
        this.#host.send(event);
      }
    }
  }

  /** The socket is gone; the response goes on. */
  close(): void {
    this.#over = true;
    this.#unfollow?.();
  }

  #read(elsewhere: StoredResponse | null): void {
    const stored = this.#host.service.store.get(this.#id, this.#host.owner);
    const param = { param: 'response_id' };
    if (stored === null) {
      const message = `Response with id '${this.#id}' not found.`;
      const busy = 'this response is being written by a node of another model; ask that one';
      this.#refuse(
        elsewhere === null ? fault('not_found', message, param) : fault('unsupported', busy, param),
      );
    } else if (stored.log === undefined) {
      const message =
        'response_id: of this response no events are kept; GET /v1/responses/{id} reads it whole';
      this.#refuse(fault('unsupported', message, param));
    } else if (this.#log === stored.log) this.#end();
    else {
      this.#unfollow?.();
      this.#log = stored.log;
      this.#unfollow = stored.log.follow(() => this.pump());
      this.pump();
    }
  }

  /** Whoever wrote it may have gone in the middle: then it goes on here. */
  #onLogEnd(): void {
    const stored = this.#host.service.store.get(this.#id, this.#host.owner);
    const isComplete = stored?.log === this.#log && stored?.isOver() === true;
    if (isComplete || this.#tries >= TRIES_MAX) this.#end();
    else this.start();
  }

  #refuse(refused: Fault): void {
    if (this.#over) return;
    this.#host.refuse(refused);
    this.#end();
  }

  #end(): void {
    this.close();
    this.#host.onEnd();
  }
}

function gone(next: number): Fault {
  const message = `starting_after: the events up to ${next} are no longer kept; read the response whole`;
  return fault('replay_gone', message, { param: 'starting_after' });
}
