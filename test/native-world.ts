// A whole native server of small real parts on a virtual clock: byte tokenizer, a chat template of one line,
// sessions, connections over memory. The engine is scripted, or the real one over the simulated device.
import { greedySampling } from '../kernels/backend.ts';
import type { Timer, VirtualClock } from '../kernels/clock.ts';
import { Random } from '../kernels/random.ts';
import { NativeClient } from '../server/client/client.ts';
import type { SessionDirectory } from '../server/cluster/session-directory.ts';
import type { SequenceEngine } from '../server/engine/request.ts';
import { TextGenerator } from '../server/generation/generation.ts';
import { openNative } from '../server/native/connection.ts';
import type { NativeService } from '../server/native/native-service.ts';
import type { SessionBounds, SessionParts } from '../server/sessions/session.ts';
import { SessionTable, type SessionTableBounds } from '../server/sessions/session-table.ts';
import type { TranscriptModel } from '../server/sessions/transcript.ts';
import { BYTE_EOS, BYTE_VOCAB_SIZE, ByteText, encodeBytes } from './byte-text.ts';
import { MemorySocket } from './memory-socket.ts';

export const FIM = { prefixId: 257, suffixId: 258, middleId: 259 } as const;

/** Nothing is tokenised elsewhere. */
const textsHere: NativeService['texts'] = {
  run: (act, end) => {
    act();
    end.ended?.();
    return true;
  },
};

export const byteModel: TranscriptModel = {
  tokenizer: {
    startIds: [],
    vocabSize: BYTE_VOCAB_SIZE,
    tokenBytes: (id) => Uint8Array.of(id),
    encode: encodeSpecial,
    decode: (ids, options) => decodeSpecial(ids, options?.keepSpecial ?? false),
  },
  chatTemplate: {
    render: (messages, { addGenerationPrompt }) => {
      const lines = messages.map(({ role, content }) => `${role}: ${String(content)}<|end|>\n`);
      return lines.join('') + (addGenerationPrompt ? 'assistant: ' : '');
    },
  },
  fim: FIM,
  spec: { vocabSize: BYTE_VOCAB_SIZE, eosTokenIds: [BYTE_EOS] },
};

/** `<|end|>` is one token, everything else is bytes. */
function encodeSpecial(text: string): Int32Array {
  const parts = text.split('<|end|>').map((part) => [...encodeBytes(part)]);
  return Int32Array.from(parts.flatMap((part, index) => (index === 0 ? part : [BYTE_EOS, ...part])));
}

function decodeSpecial(ids: ArrayLike<number>, keepSpecial: boolean): string {
  const text = new ByteText();
  let out = '';
  for (let i = 0; i < ids.length; i++) {
    out += ids[i] === BYTE_EOS && keepSpecial ? '<|end|>' : text.push(ids[i]!);
  }
  return out + text.flush();
}

export interface NativeServerOptions {
  readonly clock: VirtualClock;
  readonly engine: SequenceEngine;
  readonly model?: TranscriptModel;
  readonly session?: Partial<SessionBounds>;
  readonly newSplit?: SessionParts['newSplit']; // where the model reasons
  readonly table?: Partial<SessionTableBounds>;
  readonly native?: Partial<NativeService>;
  readonly directory?: SessionDirectory; // where its sessions outlive it
}

export class NativeServer {
  readonly clock: VirtualClock;
  readonly sessions: SessionTable;
  readonly world: NativeService;
  readonly sessionWorld: SessionParts;

  constructor({ clock, engine, ...options }: NativeServerOptions) {
    this.clock = clock;
    this.sessionWorld = {
      model: options.model ?? byteModel,
      engine,
      texts: textsHere,
      newSplit: options.newSplit ?? null,
      clock,
      generator: new TextGenerator({
        engine,
        stopTokenIds: [BYTE_EOS],
        openText: () => new ByteText(),
        random: new Random(1),
      }),
      bounds: {
        tokensMax: 4096,
        blockSize: 16,
        unsentTokensMax: 64,
        replayTokensMax: 128,
        ...options.session,
      },
    };
    let sessionCount = 0;
    const bounds = {
      sessionCountMax: 8,
      sessionCountPerKeyMax: 8,
      sessionIdleTimeoutMs: 60_000,
      ...options.table,
    };
    const { directory = null } = options;
    const parts = { ...this.sessionWorld, keeper: directory };
    this.sessions = new SessionTable(parts, bounds, () => `${++sessionCount}`);
    directory?.serve(this.sessions);
    this.world = {
      clock,
      sessions: this.sessions,
      hello: {
        server: 'sparklane/test',
        model: 'bytes',
        device: 'test',
        limits: {
          contextTokensMax: engine.contextTokensMax,
          frameSizeMax: 65_536,
          sessionCountMax: 64,
          sessionIdleSeconds: bounds.sessionIdleTimeoutMs / 1000,
          replayTokensMax: 128,
          logprobsMax: 5,
        },
        features: { chat: true, fillInTheMiddle: true },
      },
      question: {
        vocabSize: BYTE_VOCAB_SIZE,
        logprobsMax: 5,
        timeoutMs: 600_000,
        draftsUnasked: 'all',
        draftTokensMax: 4,
        contextTokensMax: engine.contextTokensMax,
        encode: encodeBytes,
        defaults: greedySampling,
      },
      bufferSizeMax: 4096,
      texts: textsHere,
      waitingSizeMax: 65_536,
      valuesMax: 131_072,
      onCrash: (error) => {
        throw error;
      },
      ownerOf: (apiKey) => (apiKey === 'secret-key' ? 'owner' : null),
      bring: directory?.bring ?? null,
      ...options.native,
    };
  }

  /** A connection without a client on it. `owner: null` as for an upgrade without a key where one is needed. */
  socket(owner: string | null = 'owner', kernelSizeMax?: number): MemorySocket {
    return new MemorySocket({
      clock: this.clock,
      open: (connection) => openNative(this.world)(connection, owner, () => {}),
      ...(kernelSizeMax !== undefined && { kernelSizeMax }),
    });
  }

  connect(socket = this.socket()): Promise<NativeClient> {
    return this.settle(NativeClient.connect(socket.openSocket, { client: 'test' }));
  }

  /** Lets the virtual world run until the promise settles; fails when nothing is left that could settle it. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = () => {
      settled = true;
    };
    promise.then(settle, settle);
    for (;;) {
      await turn();
      if (settled) return promise;
      if (!this.clock.step()) throw new Error('the promise can never settle: no event is left');
    }
  }
}

/** Every promise that can settle without the clock has settled. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Counts timers that are scheduled and neither fired nor cancelled. */
export function countingTimers(clock: VirtualClock): { readonly pending: () => number } {
  let pending = 0;
  const schedule = clock.schedule.bind(clock);
  clock.schedule = (delayMs: number, fn: () => void): Timer => {
    pending++;
    let over = false;
    const done = () => {
      if (!over) pending--;
      over = true;
    };
    const timer = schedule(delayMs, () => {
      done();
      fn();
    });
    return {
      cancel: () => {
        done();
        timer.cancel();
      },
    };
  };
  return { pending: () => pending };
}
