// ZeroMQ sockets for KV events, on the optional package `zeromq`: PUB with [topic, number, batch], and ROUTER for replay (asked
// with a number, it answers every kept batch from there on, then number −1 and nothing). Owns the sockets and the order of
// sending. Before it: kv-events.ts; after it: routers.
import type { Publisher, Router } from 'zeromq';
import type { KvBatch } from './kv-events.ts';

/** The part of `zeromq` that is used. */
interface Zmq {
  readonly Publisher: typeof Publisher;
  readonly Router: typeof Router;
}

export interface KvPublisherOptions {
  readonly publishTo: string; // tcp://host:port
  readonly replayAt: string | null;
  readonly topic: string;
  readonly batchesWaitingMax: number; // what a stuck socket may hold up; the oldest go first, replay has them
  readonly onError: (message: string) => void;
}

class KvEventsError extends Error {
  override readonly name = 'KvEventsError';
}

const END = -1n; // vLLM's number of the message after the last

export class KvPublisher {
  readonly #options: KvPublisherOptions;
  readonly #publisher: Publisher;
  readonly #router: Router | null;
  readonly #waiting: KvBatch[] = [];
  #sending = false;
  #closed = false;

  private constructor(options: KvPublisherOptions, publisher: Publisher, router: Router | null) {
    this.#options = options;
    this.#publisher = publisher;
    this.#router = router;
  }

  /** Rejects with KvEventsError where the package is missing or an address cannot be bound. */
  static async open(options: KvPublisherOptions): Promise<KvPublisher> {
    const zmq = await loadZmq();
    const publisher = new zmq.Publisher({ linger: 0 });
    const router = options.replayAt === null ? null : new zmq.Router({ linger: 0 });
    try {
      await publisher.bind(options.publishTo);
      if (router !== null) await router.bind(options.replayAt!);
    } catch (error) {
      publisher.close();
      router?.close();
      throw new KvEventsError(`--kv-events: cannot bind: ${(error as Error).message}`);
    }
    return new KvPublisher(options, publisher, router);
  }

  /** Answers questions for replay with what `since` has, until close(). */
  serve(since: (sequence: number) => Iterable<KvBatch>): void {
    if (this.#router !== null) void this.#replay(this.#router, since);
  }

  readonly publish = (batch: KvBatch): void => {
    if (this.#closed) return;
    this.#waiting.push(batch);
    if (this.#waiting.length > this.#options.batchesWaitingMax) this.#waiting.shift();
    if (!this.#sending) void this.#send();
  };

  close(): void {
    this.#closed = true;
    this.#publisher.close();
    this.#router?.close();
  }

  async #send(): Promise<void> {
    this.#sending = true;
    const { topic } = this.#options;
    for (
      let batch = this.#waiting.shift();
      batch !== undefined && !this.#closed;
      batch = this.#waiting.shift()
    ) {
      try {
        await this.#publisher.send([topic, numberFrame(BigInt(batch.sequence)), batch.payload]);
      } catch (error) {
        if (!this.#closed) this.#options.onError((error as Error).message);
      }
    }
    this.#sending = false;
  }

  async #replay(router: Router, since: (sequence: number) => Iterable<KvBatch>): Promise<void> {
    try {
      for await (const [asker, ...frames] of router) {
        const asked = frames.at(-1);
        if (asker === undefined || asked?.length !== 8) continue; // not a question
        const from = asked.readBigInt64BE();
        for (const { sequence, payload } of since(Number(from))) {
          await router.send([asker, '', numberFrame(BigInt(sequence)), payload]);
        }
        await router.send([asker, '', numberFrame(END), '']);
      }
    } catch (error) {
      if (!this.#closed) this.#options.onError(`replay has ended: ${(error as Error).message}`);
    }
  }
}

function numberFrame(value: bigint): Buffer {
  const frame = Buffer.alloc(8);
  frame.writeBigInt64BE(value);
  return frame;
}

async function loadZmq(): Promise<Zmq> {
  try {
    return await import('zeromq');
  } catch (error) {
    throw new KvEventsError(
      `--kv-events needs the package zeromq, which does not load (npm install zeromq): ${(error as Error).message}`,
    );
  }
}
