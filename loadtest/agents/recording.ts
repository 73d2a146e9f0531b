// Recording: real conversations as a trace without their text: lengths, times, and ids of blocks of the prompt that are equal
// where the text was. Owns which requests belong together and what is kept; `--workload agent-sessions --trace` plays it,
// lint.ts judges it. Pure but for the hash.
import { createHash, randomBytes } from 'node:crypto';
import { type PromptSegment, type SegmentKind, segmentsOf, volatileParts } from './prompt-segments.ts';

export const BLOCK_TOKENS = 64;
const CHARACTERS_PER_TOKEN = 4; // about; the same everywhere, so that blocks of one conversation lie alike
export const BLOCK_CHARACTERS = BLOCK_TOKENS * CHARACTERS_PER_TOKEN;
const SESSIONS_MAX = 10_000;
const REQUESTS_MAX = 10_000; // of a session

/** One answered request, as it is kept. Times in seconds. */
export interface RecordedTurn {
  readonly t: number; // since the session began
  readonly type: 'n';
  readonly in: number; // tokens, about: characters / 4
  readonly out: number; // as the server says, else about
  readonly input_types: readonly string[]; // of what is new: text or tool_result
  readonly output_types: readonly string[];
  readonly stop: string;
  readonly api_time: number;
  readonly think_time: number; // since the last answer
  readonly hash_runs: readonly number[]; // [first id, count, …] of its blocks; the last one may be cut
  readonly segments: readonly (readonly [SegmentKind, number])[]; // kinds and characters
  readonly volatile: readonly (readonly [number, string])[]; // segment, what in it is likely to differ
  readonly prompt_tokens: number | null; // as the server says
  readonly cached_tokens: number | null;
}

export interface RecordedSession {
  readonly id: string;
  readonly block_size: number;
  readonly hash_id_scope: 'local';
  readonly requests: RecordedTurn[];
}

/** How a request was answered. Times of the recorder's clock. */
export interface Exchange {
  readonly body: unknown;
  readonly startMs: number;
  readonly endMs: number;
  readonly outputTokens: number | null;
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
}

interface Open {
  readonly session: RecordedSession;
  readonly startMs: number;
  readonly ids: Map<string, number>; // by hash of a block and all before it
  segmentCount: number;
  endMs: number;
}

export class Recording {
  readonly #salt = randomBytes(16); // hashes say nothing about a text to who does not have it
  readonly #open: Open[] = [];
  readonly #named = new Map<string, Open>(); // by the client's own key
  readonly #saidIn = new Map<string, Open>(); // by hash of a message, where it was said last
  ignored = 0; // requests that asked for no answer, or were over a bound

  add(exchange: Exchange): void {
    const segments = segmentsOf(exchange.body);
    if (segments === null || segments.length === 0) {
      this.ignored++;
      return;
    }
    const open = this.#sessionOf(segments, exchange);
    if (open === null || open.session.requests.length >= REQUESTS_MAX) {
      this.ignored++;
      return;
    }
    const text = segments.map((segment) => segment.text).join('');
    const added = segments.slice(open.segmentCount);
    const isTool =
      added.length > 0 &&
      added.filter(({ kind }) => kind !== 'assistant').every(({ kind }) => kind === 'tool');
    const seconds = (ms: number) => Math.max(0, Math.round(ms)) / 1000;
    open.session.requests.push({
      ...{
        t: seconds(exchange.startMs - open.startMs),
        type: 'n',
        in: Math.max(1, Math.ceil(text.length / CHARACTERS_PER_TOKEN)),
      },
      ...{
        out: exchange.outputTokens ?? 1,
        input_types: [isTool ? 'tool_result' : 'text'],
        output_types: ['text'],
        stop: '',
      },
      api_time: seconds(exchange.endMs - exchange.startMs),
      think_time: open.session.requests.length === 0 ? 0 : seconds(exchange.startMs - open.endMs),
      hash_runs: this.#runsOf(text, open.ids),
      segments: segments.map((segment) => [segment.kind, segment.text.length] as const),
      volatile: segments.flatMap((segment, at) =>
        segment.kind === 'system' || segment.kind === 'tools'
          ? volatileParts(segment.text).map((name) => [at, name] as const)
          : [],
      ),
      ...{ prompt_tokens: exchange.promptTokens, cached_tokens: exchange.cachedTokens },
    });
    for (const segment of segments) if (isSaid(segment)) this.#saidIn.set(this.#hash('', segment.text), open);
    open.endMs = exchange.endMs;
    open.segmentCount = segments.length;
  }

  get sessions(): readonly RecordedSession[] {
    return this.#open.map(({ session }) => session).filter(({ requests }) => requests.length > 0);
  }

  get text(): string {
    return this.sessions.map((session) => `${JSON.stringify(session)}\n`).join('');
  }

  /**
   * The conversation that the client names, else the one that has said most of this already, whatever of it was dropped or
   * rewritten since; a sub-agent has said nothing of it, and begins one of its own.
   */
  #sessionOf(segments: readonly PromptSegment[], { body, startMs, endMs }: Exchange): Open | null {
    const { prompt_cache_key: key } = body as Record<string, unknown>;
    const named = typeof key === 'string' ? this.#hash('key', key) : null;
    const known = named === null ? this.#mostSaidIn(segments) : this.#named.get(named);
    if (known != null) return known;
    if (this.#open.length >= SESSIONS_MAX) return null;
    const id = `session ${this.#open.length + 1}`;
    const session: RecordedSession = { id, block_size: BLOCK_TOKENS, hash_id_scope: 'local', requests: [] };
    const open: Open = { session, startMs, endMs, ids: new Map<string, number>(), segmentCount: 0 };
    this.#open.push(open);
    if (named !== null) this.#named.set(named, open);
    return open;
  }

  #mostSaidIn(segments: readonly PromptSegment[]): Open | null {
    const characters = new Map<Open, number>();
    let best: Open | null = null;
    for (const segment of segments) {
      const open = isSaid(segment) ? this.#saidIn.get(this.#hash('', segment.text)) : undefined;
      if (open === undefined) continue;
      characters.set(open, (characters.get(open) ?? 0) + segment.text.length);
      if (best === null || characters.get(open)! > characters.get(best)!) best = open;
    }
    return best;
  }

  /** Ids of all blocks, the last partial one too; runs of ids that follow each other. */
  #runsOf(text: string, ids: Map<string, number>): number[] {
    const runs: number[] = [];
    let before = '';
    for (let at = 0; at < text.length; at += BLOCK_CHARACTERS) {
      before = this.#hash(before, text.slice(at, at + BLOCK_CHARACTERS));
      const id = ids.get(before) ?? ids.size;
      ids.set(before, id);
      const last = runs.length - 2;
      if (last >= 0 && runs[last]! + runs[last + 1]! === id) runs[last + 1]!++;
      else runs.push(id, 1);
    }
    return runs;
  }

  #hash(before: string, text: string): string {
    return createHash('sha256')
      .update(this.#salt)
      .update(before)
      .update('\0')
      .update(text)
      .digest('base64url')
      .slice(0, 16);
  }
}

const SAID_LENGTH_MIN = 8; // characters: "yes" is said everywhere

function isSaid({ kind, text }: PromptSegment): boolean {
  return kind !== 'system' && kind !== 'tools' && text.length >= SAID_LENGTH_MIN;
}
