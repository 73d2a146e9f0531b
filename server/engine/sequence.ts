// Sequence: one running generation, as the engine sees it: its tokens, how many of them are computed, the blocks
// and the seat it holds. Owns all of its counts: whoever decides about it says so by a verb, and nobody else writes them.
import type { TokenLogprobs } from '../../kernels/backend.ts';
import type { Timer } from '../../kernels/clock.ts';
import type { BlockKey } from './block-archive.ts';
import { Drafter, type SequenceDraft } from './drafter.ts';
import type { MissReason, PrefixNode } from './prefix-cache.ts';
import {
  type FinishReason,
  INTERNAL,
  type SequenceEnd,
  type SequenceFailureCode,
  type SequenceRequest,
  type SequenceSink,
} from './request.ts';
import { RequestRules } from './request-rules.ts';
import { Speculation } from './speculation.ts';
import type { TokenSlab } from './token-slab.ts';

export type Phase = 'waiting' | 'running' | 'ended';

/** Why a sequence is to leave at the next plan. */
export type Departure =
  | { readonly reason: 'cancelled' }
  | { readonly reason: 'failed'; readonly code: SequenceFailureCode; readonly message: string };

/** Blocks on their way for one sequence, and the ones before them, which must stay meanwhile. */
export interface ColdFetch {
  readonly sequence: Sequence; // for whom; may have left
  readonly tokens: Int32Array;
  readonly node: PrefixNode; // after the blocks that were found without the archive
  readonly held: readonly number[]; // all its blocks: found ones, then fresh ones
  readonly keys: readonly BlockKey[]; // of the fresh ones
  readonly startMs: number;
  ended: boolean;
}

/** What a draft model guesses to come after the first `tokenCount` tokens. */
export interface ModelGuess {
  readonly tokenCount: number;
  readonly tokens: Int32Array; // [≥ 1]
}

/** As everybody has it. */
export type Sequence = Readonly<SequenceState>;

export function newSequence(...parts: ConstructorParameters<typeof SequenceState>): Sequence {
  return new SequenceState(...parts);
}

class SequenceState {
  readonly id: number;
  readonly request: SequenceRequest;
  readonly rules: RequestRules;
  readonly sink: SequenceSink;
  readonly submitMs: number;
  readonly promptCount: number;
  tokens: Int32Array; // [capacity ≥ tokenCount] prompt, then output; grows by doubling
  tokenCount: number;
  chunkedCount: number; // leading tokens that are computed in chunks: the prompt, and output that came with a move
  computedCount = 0; // tokens whose KV exists; < tokenCount while there is work
  presentCount = 0; // tokens whose KV lies in the seat; < computedCount until restored blocks are brought in
  cachedCount = 0; // prompt tokens found in the prefix cache
  coldCount = 0; // of these, brought back from the archive
  keptCount = 0; // of these, those that lay in its first seat when it sat down
  coldFetch: { readonly ended: boolean } | null = null; // what it waits for, or has waited for
  coldTried = false; // the archive was asked for blocks since it last began to wait
  coldAsked = false; // it was asked what it has, likewise
  reachedCount = 0; // largest computedCount so far: below it tokens are computed once more
  phase: Phase = 'waiting';
  paused = false;
  departure: Departure | null = null;
  ending: FinishReason | null = null; // its last token is drawn; it leaves when its step has answered
  failure: SequenceEnd['failure'] = null; // with the ending 'failed'
  replica = -1;
  slot = -1;
  inFlight = false; // has a row in a step that has not answered
  seatedMs = -1; // first time in a seat; -1 before
  missReason: MissReason | null = null; // why its prompt was computed from where it began; null before its first seat
  firstTokenMs = -1; // -1 before
  lastTokenMs = -1;
  deadline: Timer | null = null;
  readonly #blocks: number[] = [];
  savedCount = 0; // leading blocks whose content the block store has, or will have after the step in flight
  promisedCount = 0; // blocks it was seated for and has not taken yet
  registeredCount = 0; // leading blocks that the prefix cache knows
  mirroredCount = 0; // of these, leading ones of which the store has the very bits that the seat has, or is about to be given
  readonly drafter: Drafter | null;
  readonly speculation: Speculation | null;
  draft: SequenceDraft | null = null; // being verified by the step in flight
  modelGuess: ModelGuess | null = null; // the draft model's latest
  node: PrefixNode | null = null; // of the last registered block; null while waiting
  readonly #judged: TokenLogprobs[] = []; // of prompt tokens 1, 2, …
  #judgedTold = false;

  constructor(id: number, request: SequenceRequest, sink: SequenceSink, submitMs: number, slab: TokenSlab) {
    this.id = id;
    this.request = request;
    this.rules = new RequestRules(request);
    this.sink = sink;
    this.submitMs = submitMs;
    this.promptCount = request.tokens.length;
    this.tokens = slab.take(this.promptCount + Math.min(request.maxTokens, 256));
    this.tokens.set(request.tokens);
    this.tokenCount = this.promptCount;
    this.chunkedCount = this.promptCount;
    const { speculation } = request;
    this.drafter = speculation === null ? null : new Drafter(speculation.prediction, speculation.remembered);
    this.speculation = speculation === null ? null : new Speculation();
  }

  get outputCount(): number {
    return this.tokenCount - this.promptCount;
  }

  /** Tokens to compute before the next one can be drawn; 1 while decoding. */
  get remainingCount(): number {
    return this.tokenCount - this.computedCount;
  }

  /**
   * Computed tokens that may be kept, guesses or not: of an answer all but the last, which nobody has computed unless a guess
   * behind it came true, or one that goes on behind its end.
   */
  get certainCount(): number {
    return Math.min(this.computedCount, Math.max(this.chunkedCount, this.tokenCount - 1));
  }

  /** Whether anything is drawn at all, or the prompt is only to be computed. */
  get prefillOnly(): boolean {
    return this.request.maxTokens === 0;
  }

  /** blocks[i] holds tokens [i·blockSize, (i + 1)·blockSize). */
  get blocks(): readonly number[] {
    return this.#blocks;
  }

  /** Its prompt is judged: it takes nothing from the prefix cache and gives it nothing, because its rows are cut otherwise. */
  get judgesPrompt(): boolean {
    return (this.request.promptLogprobs ?? null) !== null;
  }

  /** Prompt tokens are still to be judged. */
  get judging(): boolean {
    return this.judgesPrompt && this.#judged.length < this.promptCount - 1;
  }

  // The queue, and whom it waits for.

  wait(): void {
    this.phase = 'waiting';
  }

  /** For blocks that are on their way. */
  waitFor(fetch: ColdFetch): void {
    this.coldFetch = fetch;
  }

  /** It waits until the archive knows what it has. */
  asksArchive(): void {
    this.coldAsked = true;
    this.coldFetch = { ended: false };
  }

  heardArchive(): void {
    this.coldFetch = null;
  }

  askedArchive(): void {
    this.coldTried = true;
  }

  /** Tokens have come back from the archive for it. */
  broughtBack(tokenCount: number): void {
    if (this.seatedMs < 0) this.coldCount = tokenCount;
  }

  // The seat, and the blocks that it has there.

  /** Where the first `presentCount` tokens lie already, of those that are about to be found. */
  sit(
    seat: { readonly replica: number; readonly slot: number; readonly presentCount: number },
    nowMs: number,
  ): void {
    this.replica = seat.replica;
    this.slot = seat.slot;
    this.presentCount = seat.presentCount;
    this.phase = 'running';
    if (this.seatedMs >= 0) return;
    this.seatedMs = nowMs;
    this.keptCount = seat.presentCount;
  }

  /** Whether this is the first time that anybody says so; from then on it is known why its prompt is computed. */
  tellSeated(missReason: () => MissReason): boolean {
    if (this.missReason !== null) return false;
    this.missReason = missReason();
    return true;
  }

  /** The prefix cache has its next blocks, up to `node`. */
  find(node: PrefixNode, blocks: readonly number[], tokenCount: number): void {
    this.node = node;
    if (this.mirroredCount === this.#blocks.length) this.mirroredCount += blocks.length;
    for (const block of blocks) this.#blocks.push(block);
    this.computedCount += tokenCount;
    this.registeredCount = this.#blocks.length;
    this.savedCount = this.#blocks.length;
  }

  /** So many tokens were found that count as the prompt's. */
  credit(tokenCount: number): void {
    this.cachedCount = Math.min(this.cachedCount + tokenCount, this.promptCount);
  }

  /** How many more blocks are spoken for than before. */
  promise(blockCount: number): number {
    const more = blockCount - this.promisedCount;
    this.promisedCount = blockCount;
    return more;
  }

  /** Whether the block had been promised. */
  hold(block: number): boolean {
    this.#blocks.push(block);
    if (this.promisedCount === 0) return false;
    this.promisedCount--;
    return true;
  }

  stand(): void {
    this.replica = -1;
    this.slot = -1;
  }

  /** Its last block, which it holds no longer; undefined: it has none. */
  giveBack(): number | undefined {
    return this.#blocks.pop();
  }

  /** It has stood up: nothing of it is computed any more. */
  forget(): void {
    this.computedCount = 0;
    this.presentCount = 0;
    this.registeredCount = 0;
    this.mirroredCount = 0;
    this.savedCount = 0;
    this.node = null;
    this.draft = null;
    this.coldFetch = null;
    this.coldTried = false;
    this.coldAsked = false;
  }

  // A step, and what it has computed and drawn.

  guess(draft: SequenceDraft | null): void {
    this.draft = draft;
  }

  /** Once: they are judged with the step that has answered. */
  takeDraft(): SequenceDraft | null {
    const { draft } = this;
    this.draft = null;
    return draft;
  }

  hear(guess: ModelGuess): void {
    this.modelGuess = guess;
  }

  /** Its next block will be in the store with the next step; which of its blocks that is. */
  save(): number {
    return this.savedCount++;
  }

  enterStep(): void {
    this.inFlight = true;
  }

  leaveStep(): void {
    this.inFlight = false;
  }

  /** The first `count` tokens are computed, and lie in the seat. How far it had come before. */
  advance(count: number): number {
    const reachedCount = this.reachedCount;
    this.computedCount = count;
    this.presentCount = count;
    this.reachedCount = Math.max(reachedCount, count);
    return reachedCount;
  }

  /** What followed the tokens from `position` on; what is known already comes again after a preemption. */
  judge(position: number, logprobs: readonly TokenLogprobs[]): void {
    this.#judged.push(...logprobs.slice(this.#judged.length - position));
  }

  /** All of the prompt's judgements, once. */
  takeJudged(): readonly TokenLogprobs[] | null {
    if (!this.judgesPrompt || this.judging || this.#judgedTold) return null;
    this.#judgedTold = true;
    return this.#judged;
  }

  /** A step that ended early has not saved more blocks than these. */
  savedOnly(blockCount: number): void {
    this.savedCount = Math.min(this.savedCount, blockCount);
  }

  /** The next block is findable as `node`, or, null, nobody's but ours. */
  register(node: PrefixNode | null): void {
    const index = this.registeredCount++;
    if (node === null) return;
    // Where another was before us, what is found are its bits.
    if (this.mirroredCount === index && this.#blocks[index] === node.block) this.mirroredCount++;
    this.#blocks[index] = node.block;
    this.node = node;
  }

  /** What it has saved cannot be found any more; its seat is sound. */
  uproot(root: PrefixNode): void {
    this.node = root;
    this.mirroredCount = 0;
  }

  /** On another device: none has computed its output one by one there. */
  move(): void {
    this.chunkedCount = this.tokenCount;
  }

  /** Milliseconds since it drew before; null: it never had. */
  drew(nowMs: number): number | null {
    const gapMs = this.firstTokenMs < 0 ? null : nowMs - this.lastTokenMs;
    if (gapMs === null) this.firstTokenMs = nowMs;
    this.lastTokenMs = nowMs;
    return gapMs;
  }

  // Its pauses and its end.

  /** False: it is so already. */
  pause(paused: boolean): boolean {
    const changed = this.paused !== paused;
    this.paused = paused;
    return changed;
  }

  expireWith(deadline: Timer): void {
    this.deadline = deadline;
  }

  /** At the next plan. False: it is leaving, or has left. */
  depart(departure: Departure): boolean {
    if (this.departure !== null || this.phase === 'ended') return false;
    this.departure = departure;
    return true;
  }

  leave(): void {
    this.phase = 'ended';
  }

  /** Appends the first `count` drawn tokens, or fewer if one of them is a reason to end. */
  take(tokens: readonly number[], count: number, contextTokensMax: number): void {
    const { ignoreStopTokens, sampling, maxTokens } = this.request;
    for (let index = 0; index < count && this.ending === null; index++) {
      const token = tokens[index]!;
      const isLast = this.rules.take(token);
      if (this.rules.failure === null) this.#append(token);
      if (this.rules.failure !== null) this.fail(INTERNAL, 'request-threw');
      else if (isLast || (!ignoreStopTokens && sampling.stopTokenIds.includes(token))) this.ending = 'stop';
      else if (this.outputCount >= maxTokens || this.tokenCount >= contextTokensMax) this.ending = 'length';
    }
  }

  /** All that was asked for is computed. */
  finish(): void {
    this.ending = 'length';
  }

  /** Its row could not be sampled: nothing more can be drawn. */
  fail(message: string, code: SequenceFailureCode = 'sampling-failed'): void {
    this.ending = 'failed';
    this.failure = { code, message };
  }

  #append(token: number): void {
    if (this.tokenCount === this.tokens.length) {
      const grown = new Int32Array(this.tokens.length * 2); // rows in flight keep their view of the old one
      grown.set(this.tokens);
      this.tokens = grown;
    }
    this.tokens[this.tokenCount++] = token;
  }
}
