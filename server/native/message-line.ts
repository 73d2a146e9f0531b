// Messages of one socket in their order, also where one of them waits for the tokens of a long text: those behind it wait
// as well. Owns what waits, and its bound. Before it: connection.ts; after it: text/long-texts.ts.
import type { LongTexts } from '../text/long-texts.ts';

interface Message {
  readonly size: number; // bytes of its frame
  readonly act: () => void;
  readonly before: ((done: () => void) => void) | null; // what has to be fetched first
}

export class MessageLine {
  readonly #texts: Pick<LongTexts, 'run'>;
  readonly #sizeMax: number; // bytes that may wait
  readonly #failed: (error: unknown) => void;
  readonly #waiting: Message[] = [];
  #waitingSize = 0;
  #running = false;
  #closed = false;

  constructor(texts: Pick<LongTexts, 'run'>, sizeMax: number, failed: (error: unknown) => void) {
    this.#texts = texts;
    this.#sizeMax = sizeMax;
    this.#failed = failed;
  }

  /** Acts on a message: at once, or after those before it. False: too much waits, and nothing is done. */
  take(size: number, act: () => void, before: Message['before'] = null): boolean {
    if (this.#running && this.#waitingSize + size > this.#sizeMax) return false;
    this.#waiting.push({ size, act, before });
    this.#waitingSize += size;
    this.#next();
    return true;
  }

  /** What waits is forgotten. */
  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
  }

  #next(): void {
    while (!this.#running) {
      const message = this.#waiting.shift();
      if (message === undefined) return;
      this.#waitingSize -= message.size;
      this.#running = true;
      if (message.before === null) this.#act(message);
      else message.before(() => this.#act(message));
    }
  }

  #act({ act }: Message): void {
    if (this.#closed) return;
    this.#texts.run(act, {
      over: () => this.#closed,
      failed: (error) => {
        this.#running = false;
        this.#failed(error);
      },
      ended: () => {
        this.#running = false;
        this.#next();
      },
    });
  }
}
