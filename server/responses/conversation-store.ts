// ConversationStore: conversations that outlive their responses, by id, for their owner only. Owns their items, that one
// response at a time is written into each, and the bounds: count, count per owner, size of the texts, idle time; what nobody
// used for longest goes first, but never one that is being written. Before it: chain.ts and conversation-routes.ts.
import type { Clock } from '../../kernels/clock.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { Item } from './items.ts';
import { ITEM_COUNT_MAX } from './schema.ts';

export interface ConversationBounds {
  readonly conversationCountMax: number;
  readonly conversationCountPerKeyMax: number;
  readonly conversationStoreSizeMax: number; // bytes of JSON, about
  readonly conversationTtlMs: number; // unused
}

export type Metadata = Readonly<Record<string, string>>;

/** As it stands. */
export interface KeptConversation {
  readonly id: string;
  readonly createdAt: number; // time of day, seconds
  readonly metadata: Metadata;
  readonly items: readonly Item[]; // each with an id that no other of them has
}

/** What a conversation becomes; applied again where somebody else has changed it meanwhile. */
export type ConversationChange = (kept: KeptConversation) => KeptConversation;

/** Hears what others have to know of. */
export interface ConversationKeeper {
  changed(owner: string, id: string, change: ConversationChange): void;
  /** A response is being written in it, or no longer. */
  writing(owner: string, id: string, isWriting: boolean): void;
  /** By its owner. */
  deleted(owner: string, id: string): void;
  /** For its age, or for lack of room. */
  dropped(id: string): void;
}

/** One response's way into a conversation. */
export interface ConversationTurn {
  readonly id: string;
  readonly items: readonly Item[]; // what it goes on from
  /** Keeps others out until `end`. Refused where somebody was quicker, or where the input does not go in. */
  begin(input: readonly Item[]): Fault | null;
  /** Lets others in; `added` is null where nothing came of it. */
  end(added: readonly Item[] | null): void;
}

interface Entry {
  conversation: KeptConversation;
  readonly owner: string;
  size: number;
  usedMs: number;
  writing: boolean;
  elsewhereUntilMs: number; // another node writes in it
}

export class ConversationStore {
  readonly #bounds: ConversationBounds;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>(); // unused for longest first
  #size = 0;
  #keeper: ConversationKeeper | null = null;

  constructor(bounds: ConversationBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  keepBy(keeper: ConversationKeeper): void {
    this.#keeper = keeper;
  }

  get all(): readonly { readonly owner: string; readonly id: string }[] {
    return [...this.#entries.values()].map(({ owner, conversation: { id } }) => ({ owner, id }));
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Characters of all that is kept. */
  get size(): number {
    return this.#size;
  }

  create(owner: string, conversation: KeptConversation): Fault | null {
    const refused = this.#sizeFault({ count: 0, size: 0 }, conversation.items);
    if (refused !== null) return refused;
    this.#enter(owner, conversation);
    if (!this.#entries.has(conversation.id)) return full();
    this.#keeper?.changed(owner, conversation.id, (kept) => kept);
    return null;
  }

  /** As another node has left it; `elsewhereMs`: it is being written there for so long. */
  adopt(owner: string, conversation: KeptConversation, elsewhereMs: number): void {
    const entry = this.#entries.get(conversation.id);
    if (entry === undefined) this.#enter(owner, conversation);
    else this.#change(entry, conversation, sizeOf(conversation));
    this.lockElsewhere(conversation.id, elsewhereMs);
  }

  lockElsewhere(id: string, ms: number): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.elsewhereUntilMs = this.#clock.nowMs() + ms;
  }

  /** It is not here any more; its owner has not deleted it here. */
  forget(id: string): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#drop(entry);
  }

  /** As it stands, unused; `writing`: a response of this node is being written in it. */
  peek(id: string, owner: string): { readonly kept: KeptConversation; readonly writing: boolean } | null {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.owner !== owner) return null;
    return { kept: entry.conversation, writing: entry.writing };
  }

  get(id: string, owner: string): KeptConversation | null {
    return this.#find(id, owner)?.conversation ?? null;
  }

  delete(id: string, owner: string): boolean {
    const entry = this.#find(id, owner);
    if (entry === null) return false;
    this.#drop(entry);
    this.#keeper?.deleted(owner, id);
    return true;
  }

  /** Of a conversation that is there. */
  describe(id: string, owner: string, metadata: Metadata): KeptConversation | null {
    const entry = this.#find(id, owner);
    if (entry !== null) {
      const size = entry.size + jsonLength(metadata) - jsonLength(entry.conversation.metadata);
      this.#change(entry, { ...entry.conversation, metadata }, size);
      this.#keeper?.changed(owner, id, (kept) => ({ ...kept, metadata }));
    }
    return entry?.conversation ?? null;
  }

  add(id: string, owner: string, items: readonly Item[]): Fault | null {
    const entry = this.#find(id, owner);
    if (entry === null) return unknownConversation(id);
    const refused = this.#intakeFault(entry, items, 'items');
    if (refused === null) this.#append(entry, items);
    return refused;
  }

  remove(id: string, owner: string, itemId: string): Fault | null {
    const entry = this.#find(id, owner);
    if (entry === null) return unknownConversation(id);
    if (this.#isLocked(entry)) return locked();
    const { items } = entry.conversation;
    const without = (all: readonly Item[]) => all.filter((item) => item['id'] !== itemId);
    const left = without(items);
    const gone = items.filter((item) => !left.includes(item));
    this.#change(entry, { ...entry.conversation, items: left }, entry.size - jsonLength(gone));
    this.#keeper?.changed(owner, id, (kept) => ({ ...kept, items: without(kept.items) }));
    return null;
  }

  /** What a response goes on from. Refused where there is no such conversation, or another response is being written in it. */
  turn(id: string, owner: string): Parsed<ConversationTurn> {
    const entry = this.#find(id, owner);
    if (entry === null) return { ok: false, fault: unknownConversation(id) };
    if (this.#isLocked(entry)) return { ok: false, fault: locked() };
    const { items } = entry.conversation;
    let begun = false;
    return {
      ok: true,
      value: {
        id,
        items,
        begin: (input) => {
          if (this.#find(id, owner) !== entry) return unknownConversation(id);
          if (entry.conversation.items !== items) return locked();
          const refused = this.#intakeFault(entry, input, 'input');
          if (refused !== null) return refused;
          begun = true;
          entry.writing = true;
          this.#keeper?.writing(owner, id, true);
          return null;
        },
        end: (added) => {
          if (!begun) return;
          begun = false;
          const isKept = this.#find(id, owner) === entry; // used until now, so that it is not old however long that took
          entry.writing = false;
          // Deleted in the meantime: what was said is the response's alone.
          if (added !== null && isKept) this.#append(entry, added);
          this.#keeper?.writing(owner, id, false);
        },
      },
    };
  }

  #find(id: string, owner: string): Entry | null {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.owner !== owner) return null;
    const nowMs = this.#clock.nowMs();
    if (this.#isOld(entry, nowMs)) {
      this.#drop(entry);
      return null;
    }
    entry.usedMs = nowMs;
    this.#entries.delete(id); // last in order from now on
    this.#entries.set(id, entry);
    return entry;
  }

  #enter(owner: string, conversation: KeptConversation): void {
    const nowMs = this.#clock.nowMs();
    const entry = {
      ...{ conversation, owner, size: sizeOf(conversation), usedMs: nowMs, writing: false },
      elsewhereUntilMs: 0,
    };
    this.#entries.set(conversation.id, entry);
    this.#size += entry.size;
    this.#shrink();
  }

  #isLocked({ writing, elsewhereUntilMs }: Entry): boolean {
    return writing || elsewhereUntilMs > this.#clock.nowMs();
  }

  #intakeFault(entry: Entry, items: readonly Item[], param: string): Fault | null {
    if (this.#isLocked(entry)) return locked();
    const { conversation, size } = entry;
    const known = new Set(conversation.items.map((item) => item['id']));
    for (const [index, { id }] of items.entries()) {
      if (!known.has(id)) known.add(id);
      else {
        const at = `${param}[${index}].id`;
        return fault('invalid_request', `${at}: '${String(id)}' is in the conversation already`, {
          param: at,
        });
      }
    }
    return this.#sizeFault({ count: conversation.items.length, size }, items);
  }

  #sizeFault(kept: { readonly count: number; readonly size: number }, added: readonly Item[]): Fault | null {
    const { conversationStoreSizeMax } = this.#bounds;
    const count = kept.count + added.length;
    if (count > ITEM_COUNT_MAX) {
      const message = `the conversation would have ${count} items, at most ${ITEM_COUNT_MAX} are kept`;
      return fault('invalid_request', message, { param: 'conversation' });
    }
    const size = kept.size + jsonLength(added);
    if (size <= conversationStoreSizeMax) return null;
    const message = `the conversation would have ${size} characters, all together may have ${conversationStoreSizeMax} (--conversation-store-size)`;
    return fault('invalid_request', message, { param: 'conversation' });
  }

  #append(entry: Entry, items: readonly Item[]): void {
    const { conversation } = entry;
    const all = [...conversation.items, ...items];
    this.#change(entry, { ...conversation, items: all }, entry.size + jsonLength(items));
    this.#keeper?.changed(entry.owner, conversation.id, (kept) => withItems(kept, items));
  }

  #change(entry: Entry, conversation: KeptConversation, size: number): void {
    this.#size += size - entry.size;
    entry.size = size;
    entry.conversation = conversation;
    this.#shrink(entry);
  }

  /** Age first, then whoever has too many, then everybody: nobody pays for another's excess before that one has. */
  #shrink(kept?: Entry): void {
    const { conversationCountMax, conversationCountPerKeyMax, conversationStoreSizeMax } = this.#bounds;
    const nowMs = this.#clock.nowMs();
    const counts = new Map<string, number>();
    this.#dropWhere((entry) => this.#isOld(entry, nowMs));
    for (const { owner } of this.#entries.values()) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    this.#dropWhere((entry) => {
      const count = counts.get(entry.owner)!;
      if (count > conversationCountPerKeyMax) counts.set(entry.owner, count - 1);
      return count > conversationCountPerKeyMax;
    });
    this.#dropWhere(
      (entry) =>
        entry !== kept &&
        (this.#entries.size > conversationCountMax || this.#size > conversationStoreSizeMax),
    );
  }

  #dropWhere(unwanted: (entry: Entry) => boolean): void {
    for (const entry of this.#entries.values()) {
      if (!entry.writing && unwanted(entry)) this.#drop(entry);
    }
  }

  #isOld({ usedMs, writing }: Entry, nowMs: number): boolean {
    return !writing && usedMs + this.#bounds.conversationTtlMs <= nowMs;
  }

  #drop(entry: Entry): void {
    const { id } = entry.conversation;
    if (!this.#entries.delete(id)) return;
    this.#size -= entry.size;
    this.#keeper?.dropped(id);
  }
}

/** Those that are not there yet. */
function withItems(kept: KeptConversation, items: readonly Item[]): KeptConversation {
  const known = new Set(kept.items.map((item) => item['id']));
  return { ...kept, items: [...kept.items, ...items.filter((item) => !known.has(item['id']))] };
}

export function unknownConversation(id: string): Fault {
  return fault('not_found', `Conversation with id '${id}' not found.`, { param: 'conversation' });
}

/** OpenAI's code, and its status. */
function locked(): Fault {
  const message = 'conversation: another request is being answered in it; try again when that is over';
  return fault('conversation_locked', message, { param: 'conversation', retryAfterMs: 1000 });
}

function full(): Fault {
  return fault('queue_full', 'there is no room for another conversation (--conversations)');
}

function sizeOf({ items, metadata }: KeptConversation): number {
  return jsonLength(items) + jsonLength(metadata);
}

function jsonLength(value: unknown): number {
  return JSON.stringify(value).length;
}
