// `sparklane chat`: a conversation in the terminal over the native protocol. Owns the dialogue and what Ctrl-C means;
// the connection is given. Before it: program.ts; after it: client/client.ts.

import type { NativeClient } from '../client/client.ts';
import type { ClientGeneration } from '../client/client-generation.ts';
import type { AskOptions, ClientSession } from '../client/client-session.ts';
import { NativeError } from '../client/native-error.ts';
import { TerminalMeter } from './answer-meter.ts';
import type { Host } from './terminal.ts';

export interface ChatOptions {
  readonly system: string | null;
  readonly ask: AskOptions;
}

/** Until the person leaves: the end of input, /quit, or Ctrl-C while no answer runs. Rejects when the server is gone. */
export async function chat(client: NativeClient, options: ChatOptions, host: Host): Promise<void> {
  const { terminal } = host;
  const { model, device, features } = client.hello;
  terminal.note(`${model} on ${device}. ${HELP}\n`);
  if (!features.chat) terminal.note('This model has no chat template: it goes on with what you type.\n');
  const dialogue = new Dialogue(client, options, host);
  const stopListening = terminal.onInterrupt(() => dialogue.interrupt());
  try {
    await dialogue.run();
  } finally {
    stopListening();
  }
}

const HELP = 'Ctrl-C interrupts an answer, and leaves when there is none; /reset starts anew, /quit leaves.';

class Dialogue {
  readonly #client: NativeClient;
  readonly #options: ChatOptions;
  readonly #host: Host;
  #session: ClientSession;
  #answer: ClientGeneration | null = null;
  readonly #left: Promise<null>;
  #leave!: (value: null) => void;

  constructor(client: NativeClient, options: ChatOptions, host: Host) {
    this.#client = client;
    this.#options = options;
    this.#host = host;
    this.#left = new Promise((resolve) => {
      this.#leave = resolve;
    });
    this.#session = this.#open();
  }

  interrupt(): void {
    if (this.#answer !== null) this.#answer.cancel();
    else this.#leave(null);
  }

  async run(): Promise<void> {
    const { terminal } = this.#host;
    for (;;) {
      const line = await Promise.race([terminal.readLine('> '), this.#left]);
      if (line === null || line.trim() === '/quit') break;
      if (line.trim() === '') continue;
      if (line.trim() === '/reset') {
        await this.#session.close();
        this.#session = this.#open();
      } else await this.#turn(line);
    }
    terminal.note('\n');
  }

  #open(): ClientSession {
    const session = this.#client.open();
    const { system } = this.#options;
    if (system !== null && this.#client.hello.features.chat) {
      void session.append({ messages: [{ role: 'system', content: system }] }); // computed while the person types
    }
    return session;
  }

  async #turn(line: string): Promise<void> {
    const { terminal, clock } = this.#host;
    const meter = new TerminalMeter(clock);
    const { chat: isChat } = this.#client.hello.features;
    const appended = this.#session.append(
      isChat ? { messages: [{ role: 'user', content: line }] } : { text: line },
    );
    const answer = this.#session.generate(this.#options.ask, (frame) => {
      meter.onTokens(frame);
      terminal.write(frame.text);
    });
    this.#answer = answer;
    try {
      await appended;
      const end = await answer.end;
      terminal.write(`${end.text}\n`);
      terminal.note(`${meter.line(end)}\n`);
      if (end.error !== null) terminal.note(`the answer failed: ${end.error.message}\n`);
    } catch (error) {
      if (!(error instanceof NativeError) || this.#client.closed) throw error;
      answer.cancel();
      await answer.end.catch(() => undefined);
      terminal.note(`${error.message}\n`);
      if (error.code === 'context_length_exceeded') terminal.note('/reset starts anew.\n');
    } finally {
      this.#answer = null;
    }
  }
}
