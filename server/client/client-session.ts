// A session as a client sees it. Owns its number on the connection, the numbers of its generations, and who waits for
// what; the connection is client.ts's. After it: client-generation.ts for each answer.
import { ClientGeneration, type TokensReader } from './client-generation.ts';
import type {
  ClientMessage,
  GenerationEnded,
  MessageOf,
  SamplingFields,
  SessionAppended,
  SessionClosed,
  SessionEdited,
  SessionForked,
  SessionOpened,
  SessionPrefilled,
  SessionResumed,
  SessionTaken,
  TokensFrame,
} from './messages.ts';
import { NativeError } from './native-error.ts';

/** Replies that a session waits for. */
export type Reply =
  | SessionOpened
  | SessionResumed
  | SessionForked
  | SessionAppended
  | SessionEdited
  | SessionClosed;

/** What begins a session on this connection: a new one, one from before, or a copy of a neighbour. */
export type Beginning =
  | { readonly type: 'session.open'; readonly sampling: SamplingFields }
  | ({ readonly type: 'session.resume'; readonly id: string } & Partial<ResumePoint>)
  | { readonly type: 'session.fork'; readonly of: number; readonly count?: number };

/** What the client has: `index` tokens of `generation`, its latest question; and the latest `position` that it was told. */
export interface ResumePoint {
  readonly generation: number;
  readonly index: number;
  readonly position?: number;
}

/** Part of a session to be replaced: tokens, in a chat messages. */
export interface EditSpan {
  readonly start: number;
  readonly count: number;
}

/** The connection, as its sessions see it. */
export interface SessionLink {
  readonly closed: boolean;
  ask<T extends Reply>(message: (request: number) => ClientMessage): Promise<T>;
  send(message: ClientMessage): void;
  forget(session: number): void;
  fork(of: number, count?: number): ClientSession;
}

/** What to append: exactly one kind. */
export type AppendContent =
  | { readonly text: string; readonly suffix?: string } // suffix: fill in the middle
  | { readonly tokens: readonly number[] }
  | { readonly messages: readonly ChatTurn[] };

/** A message as OpenAI's clients write it; further fields go to the model's template. */
export interface ChatTurn {
  readonly role: string;
  readonly content?: string | readonly { readonly type: string; readonly text?: string }[] | null;
}

export type AskOptions = Omit<MessageOf<'generate'>, 'type' | 'session' | 'generation'>;

export class ClientSession {
  readonly number: number;
  /** The server has it; its `id` outlives the connection. */
  readonly opened: Promise<SessionOpened | SessionResumed | SessionForked>;
  /** Every report of prefill ahead of the question. */
  onPrefilled: ((report: SessionPrefilled) => void) | null = null;
  /** The server has closed it, or the connection is gone. */
  onClosed: ((reason: SessionClosed['reason'] | 'disconnected' | 'taken') => void) | null = null;
  readonly #link: SessionLink;
  readonly #answers = new Map<number, ClientGeneration>(); // not ended: one that runs, and refusals under way
  #nextGeneration = 0;

  constructor(link: SessionLink, number: number, beginning: Beginning) {
    this.#link = link;
    this.number = number;
    this.opened = link.ask((request) => ({ session: number, request, ...beginning }));
    if (beginning.type !== 'session.resume') return;
    this.#nextGeneration = (beginning.generation ?? -1) + 1;
    void this.opened.then(
      (reply) => {
        const latest = reply.type === 'session.resumed' ? (reply.generation ?? -1) : -1;
        this.#nextGeneration = Math.max(this.#nextGeneration, latest + 1);
      },
      (error) => this.#end(error), // and whoever waits for `opened` sees it
    );
  }

  /**
   * Goes on reading a generation that was asked on an earlier connection. Call it in the stack of resume(). Its `end`
   * rejects as `opened` does.
   */
  continued(generation: number, reader: TokensReader | null = null): ClientGeneration {
    return this.#listen(generation, reader);
  }

  /** Replaces tokens (of a chat: messages); without content they are only taken out. */
  edit(span: EditSpan, content: AppendContent | null = null): Promise<SessionEdited> {
    const session = this.number;
    const fields = (content ?? {}) as Omit<MessageOf<'session.edit'>, 'type' | 'session' | 'start' | 'count'>;
    const { start, count } = span;
    return this.#link.ask((request) => ({
      type: 'session.edit',
      session,
      request,
      start,
      count,
      ...fields,
    }));
  }

  /** A new session with the first `count` tokens (of a chat: messages) of this one; all of them unless given. */
  fork(count?: number): ClientSession {
    return this.#link.fork(this.number, count);
  }

  /** Stops `running`, appends, and asks anew: one message. The stopped answer ends first. */
  steer(
    running: ClientGeneration,
    content: AppendContent,
    options: AskOptions & { readonly keep?: boolean } = {},
    reader: TokensReader | null = null,
  ): ClientGeneration {
    const answer = this.#listen(this.#nextGeneration++, reader);
    const fields = content as Omit<MessageOf<'steer'>, 'type' | 'session' | 'generation' | 'running'>;
    const { generation } = answer;
    const numbers = { session: this.number, generation, running: running.generation };
    if (!this.#link.closed) this.#link.send({ type: 'steer', ...numbers, ...options, ...fields });
    return answer;
  }

  /** Resolves when the server has the tokens; it computes them ahead of the question, see onPrefilled. */
  append(content: AppendContent): Promise<SessionAppended> {
    const session = this.number;
    const fields = content as Omit<MessageOf<'session.append'>, 'type' | 'session'>;
    return this.#link.ask((request) => ({ type: 'session.append', session, request, ...fields }));
  }

  /** The next report of prefill. Call it before the append that it is to follow. */
  nextPrefilled(): Promise<SessionPrefilled> {
    return new Promise((resolve) => {
      const before = this.onPrefilled;
      this.onPrefilled = (report) => {
        this.onPrefilled = before;
        before?.(report);
        resolve(report);
      };
    });
  }

  /** Asks for an answer. Without `reader` it is read by `for await`. A refusal arrives at its `end`. */
  generate(options: AskOptions = {}, reader: TokensReader | null = null): ClientGeneration {
    const answer = this.#listen(this.#nextGeneration++, reader);
    const { generation } = answer;
    if (!this.#link.closed) {
      this.#link.send({ type: 'generate', session: this.number, generation, ...options });
    }
    return answer;
  }

  /** Ends everything of this session, here and on the server. */
  close(): Promise<SessionClosed> {
    const session = this.number;
    return this.#link.ask((request) => ({ type: 'session.close', session, request }));
  }

  /** From the connection. */
  receive(message: TokensFrame | GenerationEnded | SessionPrefilled | SessionClosed | SessionTaken): void {
    switch (message.type) {
      case 'tokens':
        this.#answers.get(message.generation)?.receive(message);
        return;
      case 'generation.end':
        this.#answers.get(message.generation)?.finish(message);
        this.#answers.delete(message.generation);
        return;
      case 'session.prefilled':
        this.onPrefilled?.(message);
        return;
      case 'session.taken':
        this.#link.forget(this.number);
        this.#end(new NativeError('unknown_session', 'another connection has resumed the session'));
        this.onClosed?.('taken');
        return;
      case 'session.closed':
        this.#link.forget(this.number);
        this.#end(new NativeError('unknown_session', `the session is closed: ${message.reason}`));
        this.onClosed?.(message.reason);
    }
  }

  /** From the connection: the server refused a generation. False if it is none of this session's. */
  refuse(generation: number, error: NativeError): boolean {
    const answer = this.#answers.get(generation);
    answer?.fail(error);
    return this.#answers.delete(generation);
  }

  /** From the connection: it is gone. */
  fail(error: NativeError): void {
    this.#end(error);
    this.onClosed?.('disconnected');
  }

  #listen(generation: number, reader: TokensReader | null): ClientGeneration {
    const cancel = (keep: boolean) =>
      this.#link.send({ type: 'cancel', session: this.number, generation, keep });
    const answer = new ClientGeneration(generation, cancel, reader);
    if (this.#link.closed) answer.fail(new NativeError('connection_closed', 'the connection is closed'));
    else this.#answers.set(generation, answer);
    return answer;
  }

  #end(error: NativeError): void {
    for (const answer of this.#answers.values()) answer.fail(error);
    this.#answers.clear();
  }
}
