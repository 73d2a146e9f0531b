// Two servers in virtual time with one store of native sessions between them, and what a client says to them. For tests of sessions that
// outlive their node.
import { pack } from 'msgpackr';
import { VirtualClock } from '../kernels/clock.ts';
import { createLog } from '../server/base/log.ts';
import type { GenerationEnded, ServerMessage } from '../server/client/messages.ts';
import { decodeServerFrame } from '../server/client/protocol.ts';
import { SessionDirectory } from '../server/cluster/session-directory.ts';
import type { SequenceRequest } from '../server/engine/request.ts';
import { MemorySessions, type SessionsView } from './memory-sessions.ts';
import type { MemorySocket } from './memory-socket.ts';
import { NativeServer, type NativeServerOptions, turn } from './native-world.ts';
import { type Script, ScriptedEngine } from './scripted-engine.ts';

export const STEP_MS = 10;
export const KEEP_MS = 60_000;
const HELLO = { type: 'hello', version: { min: 1, max: 1 } };
export const letters = Array.from({ length: 300 }, (_, index) => 97 + (index % 26));

export class Node {
  readonly requests: SequenceRequest[] = []; // of questions
  readonly view: SessionsView;
  readonly #server: NativeServer;

  constructor(
    clock: VirtualClock,
    store: MemorySessions,
    {
      script,
      ...options
    }: Partial<NativeServerOptions> & { readonly script?: (request: SequenceRequest) => Script } = {},
  ) {
    const engine = new ScriptedEngine({
      ...{ clock, stepMs: STEP_MS },
      script: (request) => {
        if (request.maxTokens > 0) this.requests.push({ ...request, tokens: request.tokens.slice() });
        return script?.(request) ?? { tokens: letters };
      },
    });
    this.view = store.view();
    let seed = 0;
    const directory = new SessionDirectory({
      ...{ store: this.view, link: store, clock, keepMs: KEEP_MS },
      log: createLog({ level: 'error', write() {}, epochMs: () => 0 }),
      freshSeed: () => ++seed,
      ownerIdOf: (owner) => owner,
    });
    this.#server = new NativeServer({ clock, engine, directory, ...options });
  }

  get asked(): number[][] {
    return this.requests.map(({ tokens }) => [...tokens]);
  }

  greeted(owner = 'owner'): MemorySocket {
    const socket = this.#server.socket(owner);
    say(socket, HELLO);
    return socket;
  }
}

export function world(options: ConstructorParameters<typeof Node>[2] = {}) {
  const clock = new VirtualClock();
  const store = new MemorySessions(clock);
  const [a, b] = [new Node(clock, store, options), new Node(clock, store, options)];
  return { clock, store, a, b, pass: (ms: number) => pass(clock, ms) };
}

/** Everything up to then, and what promises make of it at its own time. */
export async function pass(clock: VirtualClock, ms: number): Promise<void> {
  let reached = false;
  clock.schedule(ms, () => {
    reached = true;
  });
  while (!reached) {
    await turn();
    clock.step();
  }
  await turn();
}

export function say(socket: MemorySocket, ...messages: unknown[]): void {
  for (const message of messages) socket.transmit(pack(message));
}

export function heard(socket: MemorySocket): ServerMessage[] {
  return socket.received.splice(0).map((frame) => decodeServerFrame(frame)!);
}

export const tokensOf = (messages: readonly ServerMessage[], generation = 0) =>
  messages.flatMap((m) => (m.type === 'tokens' && m.generation === generation ? [...m.tokens] : []));
export const textOf = (messages: readonly ServerMessage[]) =>
  messages.map((m) => (m.type === 'tokens' ? m.text : '')).join('');
export const endOf = (messages: readonly ServerMessage[]) =>
  messages.filter((m): m is GenerationEnded => m.type === 'generation.end').at(-1);

export const opened = [
  { type: 'session.open', session: 0, sampling: { temperature: 0.5 } },
  { type: 'session.append', session: 0, text: 'x' },
];
export const ask = { type: 'generate', session: 0, generation: 0 };
export const back = { type: 'session.resume', session: 5, id: 'sess_1', generation: 0 };
export const ALL_MS = (letters.length + 10) * STEP_MS;
