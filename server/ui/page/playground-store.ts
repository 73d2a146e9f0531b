// The playground's state and what can be done in it: ask, stop, steer, edit, regenerate, bring a tool's result. Owns the one
// running answer; never draws. Before it: playground.tsx; after it: conversation.ts and chat-stream.ts.
import { type Api, ApiError, wordsOf } from './api.ts';
import { type ChatSettings, chatBody, defaultSettings } from './chat-request.ts';
import { type AnswerSoFar, streamAnswer } from './chat-stream.ts';
import * as talk from './conversation.ts';
import { Store } from './store.ts';

export interface PlaygroundState {
  readonly conversation: talk.Conversation;
  readonly settings: ChatSettings;
}

/** Frames between two looks at what has come: as often as a screen shows. */
const SHOW_EVERY_MS = 16;

export class PlaygroundStore extends Store<PlaygroundState> {
  readonly #api: Pick<Api, 'open'>;
  readonly #browser: {
    readonly nowMs: () => number;
    readonly later: (ms: number, fn: () => void) => () => void;
  };
  #running: AbortController | null = null;

  constructor(api: Pick<Api, 'open'>, browser: PlaygroundBrowser, settings: ChatSettings = defaultSettings) {
    super({ conversation: talk.emptyConversation, settings });
    this.#api = api;
    this.#browser = browser;
  }

  get writing(): boolean {
    return talk.isWriting(this.state.conversation);
  }

  configure(change: Partial<ChatSettings>): void {
    this.set({ settings: { ...this.state.settings, ...change } });
  }

  /** What the user says: a new turn, or while an answer is being written a word that turns it. */
  say(text: string): Promise<void> {
    const { conversation } = this.state;
    if (!this.writing) return this.#answer(talk.ask(conversation, text));
    this.#abort();
    return this.#answer(talk.steer(conversation, text));
  }

  stop(): void {
    this.#abort();
    this.set({ conversation: talk.settle(this.state.conversation, 'stopped') });
  }

  edit(id: number, text: string): Promise<void> {
    this.#abort();
    return this.#answer(talk.edit(this.state.conversation, id, text));
  }

  regenerate(id: number): Promise<void> {
    this.#abort();
    return this.#answer(talk.regenerate(this.state.conversation, id));
  }

  answerCalls(results: ReadonlyMap<string, string>): Promise<void> {
    return this.#answer(talk.answerCalls(this.state.conversation, results));
  }

  clear(): void {
    this.#abort();
    this.set({ conversation: talk.emptyConversation });
  }

  async #answer(conversation: talk.Conversation): Promise<void> {
    const running = new AbortController();
    this.#running = running;
    this.set({ conversation });
    let latest: AnswerSoFar | null = null;
    let calledOff: (() => void) | null = null;
    const show = (): void => {
      calledOff = null;
      if (running.signal.aborted || latest === null) return;
      const { finish: _, ...answer } = latest;
      this.set({ conversation: talk.write(this.state.conversation, answer) });
    };
    try {
      const body = chatBody(conversation, this.state.settings);
      const answer = await streamAnswer(this.#api as Api, body, {
        nowMs: this.#browser.nowMs,
        signal: running.signal,
        onChange: (soFar) => {
          latest = soFar;
          calledOff ??= this.#browser.later(SHOW_EVERY_MS, show);
        },
      });
      show();
      this.#settle(running, stateOf(answer), '');
    } catch (error) {
      show();
      if (!running.signal.aborted) this.#settle(running, 'failed', failureWords(error));
    } finally {
      (calledOff as (() => void) | null)?.();
    }
  }

  #settle(running: AbortController, state: talk.TurnState, note: string): void {
    if (this.#running !== running) return; // another answer is being written by now
    this.#running = null;
    this.set({ conversation: talk.settle(this.state.conversation, state, note) });
  }

  #abort(): void {
    this.#running?.abort();
    this.#running = null;
  }
}

type PlaygroundBrowser = {
  readonly nowMs: () => number;
  readonly later: (ms: number, fn: () => void) => () => void;
};

/** An answer that ran into its longest length is not done; neither is one that lost its server. */
function stateOf({ finish }: AnswerSoFar): talk.TurnState {
  if (finish === null) return 'failed';
  return finish === 'length' ? 'cut' : 'done';
}

function failureWords(error: unknown): string {
  if (error instanceof ApiError && error.status === 401) return 'The server wants an API key.';
  return wordsOf(error);
}
