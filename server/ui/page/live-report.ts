// What GET /ui/live streams: numbers and names, never a text. Types only; server/ui/ writes it, the page reads it.

/** First, what was before: one `history`; then a `live` about every second. */
export interface LiveHistory {
  readonly pointMs: number; // between two points
  readonly points: readonly LivePoint[]; // the oldest first
}

/** What happened within `pointMs`; null where nothing did. */
export interface LivePoint {
  readonly atMs: number; // its end, on the server's clock
  readonly ttftMsP50: number | null;
  readonly ttftMsP95: number | null;
  readonly itlMsP50: number | null;
  readonly itlMsP95: number | null;
  readonly decodeTokens: number;
  readonly prefillTokens: number;
  readonly running: number; // most at once
  readonly waiting: number; // likewise
  readonly acceptedDrafts: number; // of answers that ended
  readonly rejectedDrafts: number;
}

export interface LiveReport {
  readonly nowMs: number; // on the server's clock
  readonly point: LivePoint | null; // one that was not told before
  readonly busy: readonly number[] | null; // [region] of the device: share of the time at work; null: it has none
  readonly device: LiveDevice;
  readonly queue: { readonly waiting: number; readonly running: number; readonly paused: number };
  readonly seats: readonly LiveSeat[];
  readonly kv: LiveKv;
  readonly prompts: readonly LivePrompt[]; // the latest first
  readonly sessions: { readonly count: number; readonly list: readonly SessionReport[] }; // the latest used first
  readonly lanes: LiveLanes | null;
  readonly costs: LiveCosts | null; // of the real device's steps
  readonly pulls: readonly LivePull[]; // the latest first
  readonly residents: readonly LiveResident[];
  readonly viewers: number;
}

export interface LiveDevice {
  readonly backend: string;
  readonly description: string;
  readonly replicaCount: number;
  readonly slotCount: number; // of a replica
  readonly contextTokens: number;
  readonly blockSize: number; // tokens
  readonly blockCount: number;
  readonly blockBytes: number; // 0: not known
}

export interface LiveSeat {
  readonly replica: number;
  readonly slot: number;
  readonly promptTokens: number;
  readonly cachedTokens: number; // of the prompt
  readonly computedTokens: number;
  readonly outputTokens: number;
  readonly outputTokensMax: number;
}

export interface LiveKv {
  readonly freeBlocks: number;
  readonly keptBlocks: number;
  readonly inUseBlocks: number;
  readonly cells: string; // a letter per cell: f(ree), k(ept), u(sed), s(hared)
  readonly blocksPerCell: number;
  readonly trees: readonly LiveBranch[];
  readonly cut: boolean; // the tree is larger than what is shown
  readonly diskBytes: number | null; // null: nothing is kept on disk
  readonly diskBytesMax: number;
}

export interface LiveBranch {
  readonly salt: string; // whose; '' for nobody's and below the root
  readonly tokens: number;
  readonly holders: number;
  readonly below: number;
  readonly branches: readonly LiveBranch[];
}

export interface LivePrompt {
  readonly atMs: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly why: 'none' | 'new' | 'grown' | 'differs' | 'evicted';
  readonly queueMs: number;
}

export interface SessionReport {
  readonly id: string; // its beginning only: who knows all of it may come back to it
  readonly owner: string;
  readonly tokens: number; // its cursor
  readonly attached: boolean;
  readonly running: boolean;
  readonly ageMs: number;
  readonly idleMs: number;
}

export interface LiveLanes {
  readonly currency: string;
  readonly budget: number | null; // per key and day
  readonly spent: readonly { readonly owner: string; readonly amount: number }[]; // today
  readonly lanes: readonly {
    readonly name: string;
    readonly running: number;
    readonly waiting: number;
    readonly concurrency: number;
    readonly queueLengthMax: number;
    readonly requestsPerMinute: number | null;
    readonly tokensPerMinute: number | null;
    readonly circuit: string; // '' for the local one
  }[];
}

/** Medians of the latest steps, ms. */
export interface LiveCosts {
  readonly byRows: readonly { readonly rows: number; readonly stepMs: number; readonly count: number }[]; // decode only
  readonly prefillMsPerToken: number | null;
  readonly planMs: number | null; // the engine's own share of a step
}

export interface LivePull {
  readonly name: string;
  readonly doneSize: number; // bytes
  readonly totalSize: number; // bytes; 0: not known yet
  readonly state: 'running' | 'done' | 'failed';
  readonly note: string;
}

/** A model that is loaded when somebody asks for it. */
export interface LiveResident {
  readonly name: string;
  readonly size: number; // bytes while it is loaded
  readonly state: 'unloaded' | 'loading' | 'loaded' | 'failed';
  readonly note: string; // what it is at, or why it failed
}
