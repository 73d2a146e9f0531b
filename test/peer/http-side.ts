// A server as a client meets it, ours or llama-server: /v1/completions streamed over HTTP, prompts as token ids, timed by the
// reader's clock; and what processor time the server took for it, which a shared machine disturbs less than the clock.
// Before it: server-groups.ts; after it: contest.ts.
import { readFileSync } from 'node:fs';
import { type Leg, noiseTokens, type Task } from './side.ts';

export interface AskedServer {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const ticksPerSecond = 100; // of /proc/PID/stat on Linux

export class HttpSide {
  readonly about: string;
  readonly #server: AskedServer;
  #questionCount = 0;

  constructor(server: AskedServer, about: string) {
    this.#server = server;
    this.about = about;
  }

  async play(task: Task): Promise<Leg> {
    const startSeconds = this.#processorSeconds();
    const leg = await this.#played(task);
    return { ...leg, processorMs: (this.#processorSeconds() - startSeconds) * 1000 };
  }

  close(): Promise<void> {
    return this.#server.stop();
  }

  #played(task: Task): Promise<Leg> {
    switch (task.kind) {
      case 'decode':
        return this.#ask(noiseTokens(7, task.context), task.count, false);
      case 'prefill':
        return this.#ask(noiseTokens(task.seed, task.count), 1, false);
      case 'streams':
        return this.#together(task);
      case 'edit':
        return this.#ask(task.prompt, task.answer.length, task.drafts);
      default:
        throw new Error(`${task.kind} is not measured here`);
    }
  }

  async #together({ streams, context, count }: Task & { kind: 'streams' }): Promise<Leg> {
    const question = this.#questionCount++;
    const startMs = performance.now();
    const prompts = Array.from({ length: streams }, (_, stream) =>
      noiseTokens(1000 + 64 * question + stream, context),
    );
    const legs = await Promise.all(prompts.map((prompt) => this.#ask(prompt, count, false)));
    const restTokens = streams * count;
    const tokens = legs.flatMap((leg) => leg.tokens);
    return { firstMs: 0, restMs: performance.now() - startMs, restTokens, tokens, accepted: 0, rejected: 0 };
  }

  /** `count` tokens, whatever they are; an answer's tokens are not told, only how many there are. */
  async #ask(prompt: readonly number[], count: number, drafts: boolean): Promise<Leg> {
    const body = {
      ...{ prompt, max_tokens: count, temperature: 0, stream: true, ignore_eos: true },
      ...{ speculation: drafts, cache_prompt: true },
    };
    const startMs = performance.now();
    const response = await fetch(`${this.#server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    let firstMs = 0;
    // Both servers send comments while a long prompt is computed.
    for await (const bytes of response.body!)
      if (firstMs === 0 && /^data:/m.test(Buffer.from(bytes).toString('latin1'))) firstMs = performance.now();
    const restMs = performance.now() - firstMs;
    const tokens = new Array<number>(count).fill(0);
    return { firstMs: firstMs - startMs, restMs, restTokens: count - 1, tokens, accepted: 0, rejected: 0 };
  }

  /** Of the process and its threads; 0 where there is no /proc. */
  #processorSeconds(): number {
    try {
      const stat = readFileSync(`/proc/${this.#server.pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond; // utime, stime
    } catch {
      return 0;
    }
  }
}
