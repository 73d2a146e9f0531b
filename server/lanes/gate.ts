// LaneGate: who may work in a lane now, who waits and for how long, who is refused. Owns the lane's concurrency, its
// queue, and the token buckets of the lane and of each key in it; first come, first served, except that nobody waits
// behind a key that has used up its own share. Before it: visit.ts; after it: nothing, it is numbers and a clock.
import type { Clock, Timer } from '../../kernels/clock.ts';
import type { ShareCount } from '../cluster/shared-counts.ts';
import { TokenBucket } from './token-bucket.ts';

export interface RateLimits {
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined; // prompt (estimated) and output (as asked), corrected at the end
}

export interface GateLimits extends RateLimits {
  readonly concurrency: number;
  readonly queueLengthMax: number;
  readonly queueWaitMsMax: number;
  readonly perKey?: RateLimits | undefined;
  readonly shared?: { readonly lane: string; readonly count: ShareCount } | undefined; // the rates, with other nodes
}

export interface GateAsk {
  readonly owner: string;
  readonly tokens: number; // estimated
}

export interface QueuePlace {
  readonly position: number; // 1: next
  readonly estimatedWaitMs: number;
}

/** Held while working; `leave` with the tokens that it really took. Idempotent. */
export interface Ticket {
  leave(tokens: number): void;
}

export interface Waiter {
  onTicket(ticket: Ticket, waitedMs: number): void; // once, or
  onTooLong(place: QueuePlace): void; // once
  onPlace(place: QueuePlace): void; // at once, then about every second while it waits
}

export interface GateReport {
  readonly running: number;
  readonly waiting: number;
}

interface Queued {
  readonly ask: GateAsk;
  readonly waiter: Waiter;
  readonly sinceMs: number;
  readonly timer: Timer; // it has waited too long
}

interface Buckets {
  readonly requests: TokenBucket | null;
  readonly tokens: TokenBucket | null;
}

const PLACE_MS = 1000; // how often who waits is told its place
const FIRST_SERVICE_MS = 5000; // how long a request takes, before any has ended
const SERVICE_WEIGHT = 0.2; // of the latest request in the average

export class LaneGate {
  readonly #limits: GateLimits;
  readonly #clock: Clock;
  readonly #lane: Buckets;
  readonly #keys = new Map<string, Buckets>(); // one for each API key: the server's configuration bounds them
  readonly #queue: Queued[] = [];
  #running = 0;
  #serviceMs = FIRST_SERVICE_MS;
  #tick: Timer | null = null;
  #wake: Timer | null = null;
  #pumping = false;

  constructor(limits: GateLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#lane = this.#newBuckets(limits);
  }

  get report(): GateReport {
    return { running: this.#running, waiting: this.#queue.length };
  }

  /** A ticket if there is room and nobody waits who could go; else null. */
  tryEnter(ask: GateAsk): Ticket | null {
    if (this.#queue.some((queued) => this.#keyBlockedMs(queued.ask) === 0)) return null;
    return this.#running < this.#limits.concurrency && this.#blockedMs(ask) === 0 ? this.#admit(ask) : null;
  }

  /** How long until the ask may be let in, behind everybody who waits. */
  estimateMs(ask: GateAsk): number {
    return this.#estimateMs(ask, aheadOf(this.#queue));
  }

  /** Queues the ask; null: the queue is full. Cancelling is idempotent and harmless once it is in. */
  wait(ask: GateAsk, waiter: Waiter): { cancel(): void } | null {
    if (this.#queue.length >= this.#limits.queueLengthMax) return null;
    const timer = this.#clock.schedule(this.#limits.queueWaitMsMax, () => {
      const place = this.#placeOf(queued);
      if (this.#remove(queued)) waiter.onTooLong(place);
    });
    const queued: Queued = { ask, waiter, sinceMs: this.#clock.nowMs(), timer };
    this.#queue.push(queued);
    waiter.onPlace(this.#placeOf(queued));
    this.#clock.defer(() => this.#pump());
    this.#startTicking();
    return {
      cancel: () => {
        if (this.#remove(queued)) this.#pump();
      },
    };
  }

  #admit({ owner, tokens }: GateAsk): Ticket {
    const buckets = this.#bucketsFor(owner);
    const startMs = this.#clock.nowMs();
    for (const { requests, tokens: bucket } of buckets) {
      requests?.take(1, startMs);
      bucket?.take(tokens, startMs);
    }
    this.#running++;
    let left = false;
    return {
      leave: (used) => {
        if (left) return;
        left = true;
        this.#running--;
        const nowMs = this.#clock.nowMs();
        for (const { tokens: bucket } of buckets) bucket?.take(used - tokens, nowMs);
        this.#serviceMs += SERVICE_WEIGHT * (nowMs - startMs - this.#serviceMs);
        this.#clock.defer(() => this.#pump()); // who leaves may be in the middle of its own ending
      },
    };
  }

  #pump(): void {
    if (this.#pumping) return; // whoever was let in left at once: the loop below sees it
    this.#pumping = true;
    let index = 0;
    while (index < this.#queue.length && this.#running < this.#limits.concurrency) {
      const queued = this.#queue[index]!;
      if (this.#keyBlockedMs(queued.ask) > 0) {
        index++;
        continue;
      }
      // The lane's own rate is for everybody: whoever is large would starve if smaller ones went past it.
      if (this.#blockedMs(queued.ask) > 0) break;
      this.#remove(queued);
      queued.waiter.onTicket(this.#admit(queued.ask), this.#clock.nowMs() - queued.sinceMs);
      index = 0;
    }
    this.#pumping = false;
    this.#scheduleWake();
  }

  /** Seats wake by themselves; a bucket has to be waited for. */
  #scheduleWake(): void {
    this.#wake?.cancel();
    this.#wake = null;
    if (this.#queue.length === 0 || this.#running >= this.#limits.concurrency) return;
    this.#wake = this.#clock.schedule(Math.ceil(this.#nextChangeMs()), () => this.#pump());
  }

  /** Positive after a pump. Who stands behind one that the lane's rate holds up has no say: it would be found blocked again. */
  #nextChangeMs(): number {
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const { ask } of this.#queue) {
      const ownMs = this.#keyBlockedMs(ask);
      if (ownMs === 0) return Math.min(soonestMs, this.#blockedMs(ask));
      soonestMs = Math.min(soonestMs, ownMs);
    }
    return soonestMs;
  }

  #startTicking(): void {
    if (this.#tick !== null) return;
    this.#tick = this.#clock.schedule(PLACE_MS, () => {
      this.#tick = null;
      const ahead = new Ahead();
      for (const { ask, waiter } of [...this.#queue]) {
        waiter.onPlace(this.#placeBehind(ahead, ask));
        ahead.add(ask);
      }
      if (this.#queue.length > 0) this.#startTicking();
    });
  }

  #placeOf(queued: Queued): QueuePlace {
    return this.#placeBehind(aheadOf(this.#queue.slice(0, this.#queue.indexOf(queued))), queued.ask);
  }

  #placeBehind(ahead: Ahead, ask: GateAsk): QueuePlace {
    return { position: ahead.all.requests + 1, estimatedWaitMs: Math.ceil(this.#estimateMs(ask, ahead)) };
  }

  /** As far as can be told: for rates from the tokens that those ahead ask for, for seats from the average service. */
  #estimateMs(ask: GateAsk, ahead: Ahead): number {
    const { concurrency } = this.#limits;
    const seats = Math.max(0, concurrency - this.#running);
    const rounds = Math.ceil(Math.max(0, ahead.all.requests + 1 - seats) / concurrency);
    const nowMs = this.#clock.nowMs();
    const [lane, own] = this.#bucketsFor(ask.owner);
    const ownMs = own === undefined ? 0 : missingMs(own, ask, nowMs, ahead.of(ask.owner));
    return Math.max(rounds * this.#serviceMs, missingMs(lane!, ask, nowMs, ahead.all), ownMs);
  }

  #remove(queued: Queued): boolean {
    const index = this.#queue.indexOf(queued);
    if (index < 0) return false;
    this.#queue.splice(index, 1);
    queued.timer.cancel();
    if (this.#queue.length === 0) {
      this.#tick?.cancel();
      this.#tick = null;
    }
    return true;
  }

  #blockedMs(ask: GateAsk): number {
    return Math.max(this.#keyBlockedMs(ask), missingMs(this.#lane, ask, this.#clock.nowMs()));
  }

  #keyBlockedMs(ask: GateAsk): number {
    const own = this.#bucketsFor(ask.owner)[1];
    return own === undefined ? 0 : missingMs(own, ask, this.#clock.nowMs());
  }

  #bucketsFor(owner: string): readonly Buckets[] {
    const { perKey } = this.#limits;
    if (perKey === undefined) return [this.#lane];
    let own = this.#keys.get(owner);
    if (own === undefined) {
      own = this.#newBuckets(perKey, owner);
      this.#keys.set(owner, own);
    }
    return [this.#lane, own];
  }

  /** Of the lane, or of a key in it. */
  #newBuckets({ requestsPerMinute, tokensPerMinute }: RateLimits, owner?: string): Buckets {
    const { shared } = this.#limits;
    const nowMs = () => this.#clock.nowMs();
    const bucket = (what: string, perMinute: number | undefined) => {
      if (perMinute === undefined) return null;
      // Nodes whose files say otherwise do not share.
      const name = `${shared?.lane}:${what}:${perMinute}`;
      const named = { name, ...(owner !== undefined && { owner }) };
      return new TokenBucket(perMinute, nowMs(), shared ? { count: shared.count, named, nowMs } : null);
    };
    return { requests: bucket('requests', requestsPerMinute), tokens: bucket('tokens', tokensPerMinute) };
  }
}

interface Demand {
  readonly requests: number;
  readonly tokens: number;
}

const NOBODY: Demand = { requests: 0, tokens: 0 };

/** What those ahead of somebody ask for, together and by key. */
class Ahead {
  #all = NOBODY;
  readonly #byOwner = new Map<string, Demand>();

  get all(): Demand {
    return this.#all;
  }

  of(owner: string): Demand {
    return this.#byOwner.get(owner) ?? NOBODY;
  }

  add({ owner, tokens }: GateAsk): void {
    const more = (demand: Demand) => ({ requests: demand.requests + 1, tokens: demand.tokens + tokens });
    this.#all = more(this.#all);
    this.#byOwner.set(owner, more(this.of(owner)));
  }
}

function aheadOf(queue: readonly Queued[]): Ahead {
  const ahead = new Ahead();
  for (const { ask } of queue) ahead.add(ask);
  return ahead;
}

function missingMs({ requests, tokens }: Buckets, ask: GateAsk, nowMs: number, ahead = NOBODY): number {
  return Math.max(
    requests?.missingMs(1, nowMs, ahead.requests) ?? 0,
    tokens?.missingMs(ask.tokens, nowMs, ahead.tokens) ?? 0,
  );
}
