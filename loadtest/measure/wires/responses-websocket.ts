// The Responses API's WebSocket mode: one socket per session, `response.create` with previous_response_id and only what
// is new. Behaves as the Codex CLI was seen to: Esc drops the socket, and the next turn comes on a new one with the
// full input and without the half answer.
import { jsonValue } from '../../../server/base/json-text.ts';
import { Answer, field, textOr } from './answer.ts';
import {
  createFields,
  type InputItem,
  inputOf,
  outputItems,
  type ResponsesOptions,
  readResponseEvent,
} from './responses-events.ts';
import {
  type Ask,
  type Dialogue,
  lostEnd,
  plainEnd,
  type Target,
  type TurnEnd,
  type TurnEvents,
} from './target.ts';
import type { SocketEndpoint, WireSocket } from './wire.ts';

type ResponsesEndpoint = SocketEndpoint & { readonly extraBody: Readonly<Record<string, unknown>> };

const PATH = '/v1/responses';

export function responsesSocketTarget(options: ResponsesOptions, endpoint: ResponsesEndpoint): Target {
  return {
    name: `Responses WebSocket at ${endpoint.address}`,
    isWhole: false,
    open: (_session, onReady) => new SocketConversation(options, endpoint, onReady),
    close: () => {}, // conversations own their sockets
  };
}

interface RunningTurn {
  readonly ask: Ask;
  readonly events: TurnEvents;
  readonly answer: Answer;
  readonly added: readonly InputItem[]; // to the history, by this turn
  resent: boolean; // with the full input, because the server had lost the chain
}

class SocketConversation implements Dialogue {
  readonly #options: ResponsesOptions;
  readonly #endpoint: ResponsesEndpoint;
  readonly #onReady: () => void;
  readonly #decoder = new TextDecoder();
  #history: InputItem[] = [];
  #previousId: string | null = null; // of the last response on this socket
  #socket: WireSocket | null = null;
  #isOpen = false;
  #waiting: (() => void) | null = null; // to send once the socket stands
  #turn: RunningTurn | null = null;
  #nowMs = 0; // when the frame that is being read arrived

  constructor(options: ResponsesOptions, endpoint: ResponsesEndpoint, onReady: () => void) {
    this.#options = options;
    this.#endpoint = endpoint;
    this.#onReady = onReady;
    this.#connect();
  }

  start(ask: Ask, events: TurnEvents): void {
    if (ask.reset) {
      this.#history = [];
      this.#previousId = null;
    }
    const added = inputOf(ask, this.#options);
    const answer = new Answer((delta) => events.onTokens(this.#nowMs, delta));
    const turn: RunningTurn = { ask, events, answer, added, resent: false };
    this.#turn = turn;
    if (this.#socket === null) this.#connect();
    if (this.#isOpen) this.#send(turn);
    else this.#waiting = () => this.#send(turn);
  }

  interrupt(): void {
    this.#drop();
    const turn = this.#turn;
    // What the user said stays in the history, what the model had half said does not.
    if (turn !== null) this.#history.push(...turn.added);
    this.#end((ended) => ended.answer.end(ended.ask, 'interrupted'));
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#end(() => plainEnd('unfinished'));
  }

  #connect(): void {
    const { wire, headers } = this.#endpoint;
    const current = () => socket === this.#socket; // a dropped socket has nothing more to say
    const socket: WireSocket = wire.open(PATH, headers, {
      onOpen: () => {
        if (!current()) return;
        this.#isOpen = true;
        this.#onReady();
        this.#waiting?.();
        this.#waiting = null;
      },
      onMessage: (frame) => {
        if (current()) this.#read(frame);
      },
      onClose: (code, reason) => {
        if (current()) this.#lost(code, reason);
      },
    });
    this.#socket = socket;
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#isOpen = false;
    this.#previousId = null;
    this.#waiting = null;
    socket?.terminate();
  }

  #send(turn: RunningTurn): void {
    const chained = this.#previousId !== null;
    const frame = JSON.stringify({
      type: 'response.create',
      ...createFields(this.#options, turn.ask),
      ...(chained && { previous_response_id: this.#previousId }),
      input: chained ? turn.added : [...this.#history, ...turn.added],
      ...this.#endpoint.extraBody,
    });
    this.#socket?.send(frame, () => turn.events.onSent(this.#endpoint.clock.nowMs()));
  }

  #read(frame: Uint8Array): void {
    const turn = this.#turn;
    if (turn === null) return;
    this.#nowMs = this.#endpoint.clock.nowMs();
    const text = this.#decoder.decode(frame);
    const event = jsonValue(text);
    if (event === undefined) {
      turn.answer.failure = { kind: 'malformed event', message: text.slice(0, 200) };
      this.#end((ended) => ended.answer.end(ended.ask));
      return;
    }
    const response = readResponseEvent(event, turn.answer);
    if (turn.answer.failure?.kind === 'previous_response_not_found' && !turn.resent) {
      turn.answer.failure = null;
      turn.resent = true;
      this.#previousId = null;
      this.#send(turn);
      return;
    }
    if (response === null && turn.answer.failure === null) return;
    const id = textOr(field(response, 'id'), '');
    this.#previousId = id === '' || turn.answer.failure !== null ? null : id;
    this.#history.push(...turn.added, ...outputItems(response, turn.answer));
    this.#end((ended) => ended.answer.end(ended.ask));
  }

  #lost(code: number, reason: string): void {
    this.#socket = null;
    this.#isOpen = false;
    this.#previousId = null;
    this.#end(({ answer }) => lostEnd(answer.text, `closed ${code}`, reason));
    this.#onReady(); // a closed-loop user finds out at the first turn
  }

  #end(endOf: (turn: RunningTurn) => TurnEnd): void {
    const turn = this.#turn;
    if (turn === null) return;
    this.#turn = null;
    const { clock } = this.#endpoint;
    const atMs = clock.nowMs();
    clock.defer(() => turn.events.onEnd(atMs, endOf(turn)));
  }
}
