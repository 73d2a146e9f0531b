// Sparklane as a client meets it: a server in a process of its own, one stream through the WebSocket. Needs dist/.
import type { NativeClient } from '../../server/client/client.ts';
import { type Served, serve } from '../bench/served.ts';
import { type Leg, noiseTokens, type Opening, type Task } from './side.ts';

export class SocketSide {
  readonly about: string;
  readonly #served: Served;
  readonly #client: NativeClient;

  private constructor(served: Served, client: NativeClient) {
    this.#served = served;
    this.#client = client;
    this.about = `sparklane over its WebSocket, ${served.device}`;
  }

  static async open(opening: Opening): Promise<SocketSide> {
    const served = await serve([
      ...['--model', opening.modelPath, '--precision', opening.precision, '--slots', '4'],
      ...['--threads', String(opening.threads), '--context-tokens', String(opening.contextTokens)],
      ...['--cache-directory', opening.cacheDirectory],
    ]);
    return new SocketSide(served, await served.connect());
  }

  /** Times are the client's: first frame, last frame. */
  async play(task: Task): Promise<Leg> {
    if (task.kind !== 'decode') throw new Error(`${task.kind} is not measured here`);
    const session = this.#client.open();
    await session.append({ tokens: noiseTokens(7, task.context) });
    const tokens: number[] = [];
    const startMs = performance.now();
    let firstMs = 0;
    let firstCount = 0;
    let lastMs = 0;
    // One token at a time, as the others: lookup has cells of its own.
    const options = { maxTokens: task.count, ignoreStopTokens: true, temperature: 0, speculation: false };
    const answer = session.generate(options, (frame) => {
      lastMs = performance.now();
      if (firstMs === 0) [firstMs, firstCount] = [lastMs, frame.tokens.length];
      tokens.push(...frame.tokens);
    });
    await answer.end;
    await session.close();
    const restTokens = tokens.length - firstCount;
    const times = { firstMs: firstMs - startMs, restMs: lastMs - firstMs, restTokens };
    return { ...times, tokens, accepted: 0, rejected: 0 };
  }

  async close(): Promise<void> {
    this.#client.close();
    await this.#served.stop();
  }
}
