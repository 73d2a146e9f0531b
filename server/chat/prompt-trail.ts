// The latest prompts of conversations, so that the next turn of one can say which of its parts no longer is what it was: that is
// where a prefix cache stops to help. Owns what is remembered (digests of messages and tools, and the prompt's tokens, by API
// key; bounded) and the comparison. Before it: local-answering.ts; after it: generation/prefix-report.ts tells it.
import { createHash } from 'node:crypto';
import type { ChatMessage } from '../../models/template/chat-template.ts';
import type { LastTurn, PrefixBreak } from '../generation/prefix-report.ts';
import type { ServedModel } from '../text/served-model.ts';
import type { Tool } from '../tools/definition.ts';

export interface TrailBounds {
  readonly ownerCountMax: number;
  readonly promptCountMax: number; // of one owner
  readonly tokensMax: number; // of all prompts of one owner
}

const trailBounds: TrailBounds = { ownerCountMax: 64, promptCountMax: 32, tokensMax: 2 ** 18 };

/** A conversation as its client sent it. */
export interface PromptOrigin {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly Tool[];
}

interface Turn {
  readonly roles: readonly string[];
  readonly messages: readonly string[]; // digests, as are the tools
  readonly tools: readonly string[];
  readonly tokens: Int32Array;
}

const CONTEXT_TOKENS = 3; // shown before the place where two prompts part
const SHOWN_TOKENS = 9; // and behind it

export class PromptTrail {
  readonly #tokenizer: Pick<ServedModel['tokenizer'], 'decode'>;
  readonly #bounds: TrailBounds;
  readonly #owners = new Map<string, Turn[]>(); // least recently heard of first; of each the latest last

  constructor(tokenizer: Pick<ServedModel['tokenizer'], 'decode'>, bounds: TrailBounds = trailBounds) {
    this.#tokenizer = tokenizer;
    this.#bounds = bounds;
  }

  /** What the last turn of this conversation says of it; null: there was none. Remembers it as the last one. */
  follow(owner: string, origin: PromptOrigin, tokens: Int32Array): LastTurn | null {
    const turn: Turn = {
      roles: origin.messages.map(({ role }) => role),
      messages: origin.messages.map(digestOf),
      tools: origin.tools.map(digestOf),
      tokens,
    };
    const known = this.#owners.get(owner) ?? [];
    const last = closest(known, turn);
    this.#remember(owner, known, { turn, last });
    if (last === null) return null;
    const sharedTokens = sharedLength(last.tokens, tokens);
    const brokenBy = this.#breakOf(last, turn, sharedTokens);
    return { tokens: last.tokens.length, sharedTokens, brokenBy };
  }

  #breakOf(last: Turn, turn: Turn, shared: number): PrefixBreak | null {
    if (shared === last.tokens.length) return null;
    const part = changedTools(last.tools, turn.tools) ?? changedMessage(last, turn);
    // The same again, or less of it: nothing is computed that the last turn's cache does not have.
    if (part?.how === 'cut' && shared === turn.tokens.length) return null;
    const { part: name, how } = part ?? { part: 'template', how: 'rendered otherwise' };
    return {
      part: name,
      how,
      was: this.#around(last.tokens, shared),
      now: this.#around(turn.tokens, shared),
    };
  }

  #around(tokens: Int32Array, at: number): string {
    return this.#tokenizer.decode(tokens.subarray(Math.max(0, at - CONTEXT_TOKENS), at + SHOWN_TOKENS));
  }

  /** A turn takes the place of the one that it goes on from. */
  #remember(
    owner: string,
    known: readonly Turn[],
    { turn, last }: { readonly turn: Turn; readonly last: Turn | null },
  ): void {
    const { ownerCountMax, promptCountMax, tokensMax } = this.#bounds;
    const isOver = (one: Turn) =>
      one === last && one.messages.every((digest, at) => digest === turn.messages[at]);
    const kept = [...known.filter((one) => !isOver(one)), turn].slice(-promptCountMax);
    let size = kept.reduce((sum, { tokens }) => sum + tokens.length, 0);
    while (size > tokensMax && kept.length > 0) size -= kept.shift()!.tokens.length;
    this.#owners.delete(owner);
    this.#owners.set(owner, kept);
    for (const oldest of this.#owners.keys()) {
      if (this.#owners.size <= ownerCountMax) return;
      this.#owners.delete(oldest);
    }
  }
}

/**
 * The latest turn of the same conversation: the one that begins like this one for the most messages, then that has the most of
 * them. At least one must be no instruction, because those are the same in many conversations.
 */
function closest(known: readonly Turn[], turn: Turn): Turn | null {
  let best: Turn | null = null;
  let most = 0;
  const here = new Set(turn.messages);
  for (const one of known) {
    const found = one.messages.filter((digest) => here.has(digest)).length;
    const told = one.messages.some((digest, at) => here.has(digest) && !instructing.has(one.roles[at]!));
    const first = one.messages.findIndex((digest, at) => digest !== turn.messages[at]);
    const score = (first < 0 ? one.messages.length : first) * MESSAGES_MAX + found;
    if (!told || score < most) continue;
    best = one;
    most = score;
  }
  return best;
}

const MESSAGES_MAX = 2 ** 16; // of one conversation, and more than any has
const instructing: ReadonlySet<string> = new Set(['system', 'developer']);

type Change = Pick<PrefixBreak, 'part' | 'how'>;

/** Templates show tools before the conversation. */
function changedTools(before: readonly string[], now: readonly string[]): Change | null {
  if (before.join() === now.join()) return null;
  const part = 'tools';
  if ([...before].sort().join() === [...now].sort().join()) return { part, how: 'reordered' };
  if (before.every((digest) => now.includes(digest))) return { part, how: 'added' };
  return { part, how: now.every((digest) => before.includes(digest)) ? 'removed' : 'changed' };
}

function changedMessage(last: Turn, turn: Turn): Change | null {
  const index = last.messages.findIndex((digest, at) => digest !== turn.messages[at]);
  if (index < 0) return null;
  const part = `messages[${index}]`;
  if (index >= turn.messages.length) return { part, how: 'cut' };
  if (last.messages[index + 1] === turn.messages[index]) return { part, how: 'removed' };
  if (last.messages[index] === turn.messages[index + 1]) return { part, how: 'inserted' };
  return { part, how: 'changed' };
}

function sharedLength(a: Int32Array, b: Int32Array): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

function digestOf(part: unknown): string {
  return createHash('sha256').update(JSON.stringify(part)).digest('base64');
}
