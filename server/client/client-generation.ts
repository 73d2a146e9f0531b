// One answer, as its asker sees it. Owns the queue between the socket and `for await`, and the promise of the end;
// a callback gets frames without either. Before it: client-session.ts routes frames here.
import type { GenerationEnded, TokensFrame } from './messages.ts';
import type { NativeError } from './native-error.ts';

/** Called once per frame, in the socket's stack. */
export type TokensReader = (frame: TokensFrame) => void;

export class ClientGeneration implements AsyncIterable<TokensFrame> {
  readonly generation: number;
  /** Resolves with the end, also a cancelled or failed one; rejects if it was refused or the connection was lost. */
  readonly end: Promise<GenerationEnded>;
  readonly #reader: TokensReader | null;
  readonly #sendCancel: (keep: boolean) => void;
  #settle!: { resolve: (end: GenerationEnded) => void; reject: (error: NativeError) => void };
  #frames: TokensFrame[] = []; // not read yet; bounded by the answer's length
  #wake: (() => void) | null = null; // of a `for await` that waits
  #outcome: GenerationEnded | NativeError | null = null;

  constructor(generation: number, cancel: (keep: boolean) => void, reader: TokensReader | null) {
    this.generation = generation;
    this.#sendCancel = cancel;
    this.#reader = reader;
    this.end = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.end.catch(() => {}); // whoever waits for it sees the error; nobody has to
  }

  /** Stops it; the end follows. `keep: false` takes the answer so far out of the session. Harmless after the end. */
  cancel(keep = true): void {
    if (this.#outcome === null) this.#sendCancel(keep);
  }

  /** The whole text, once it has ended. Rejects as `end` does, and takes the frames from `for await`. */
  async text(): Promise<string> {
    let text = '';
    for await (const frame of this) text += frame.text;
    return text + (await this.end).text;
  }

  /** Frames in order, each once, until the end. Throws what `end` rejects with. */
  async *[Symbol.asyncIterator](): AsyncIterator<TokensFrame> {
    for (;;) {
      const frames = this.#frames;
      this.#frames = [];
      yield* frames;
      if (this.#frames.length > 0) continue;
      if (this.#outcome instanceof Error) throw this.#outcome;
      if (this.#outcome !== null) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** From the session: more of the answer. */
  receive(frame: TokensFrame): void {
    if (this.#reader !== null) {
      this.#reader(frame);
      return;
    }
    this.#frames.push(frame);
    this.#rouse();
  }

  /** From the session: its end. */
  finish(end: GenerationEnded): void {
    if (this.#outcome !== null) return;
    this.#outcome = end;
    this.#settle.resolve(end);
    this.#rouse();
  }

  /** From the session: it was refused, or can no longer be heard of. */
  fail(error: NativeError): void {
    if (this.#outcome !== null) return;
    this.#outcome = error;
    this.#settle.reject(error);
    this.#rouse();
  }

  #rouse(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
