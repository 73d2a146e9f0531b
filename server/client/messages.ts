// The words of the native protocol: every message either side can send, and the checks on what a client sends.
// Owns names, fields and bounds; never sees bytes (protocol.ts) or sessions (native/connection.ts). docs/protocol/native.md explains
// each message with an example. New messages and new optional fields may be added; nothing is renamed.
import { z } from 'zod';
import { repetitionPenaltyMin } from '../../kernels/sampling.ts';
import type { ErrorCode } from '../base/errors.ts';

const NAME_LENGTH_MAX = 200; // characters
const STOP_STRINGS_MAX = 16;
const STOP_LENGTH_MAX = 1024; // characters of one stop string
const LOGIT_BIAS_MAX = 1024; // entries
const MESSAGES_MAX = 4096; // chat messages in one append
const SHOWN_TOKENS_MAX = 65_536;
const FRAME_INTERVAL_US_MAX = 1_000_000;

/** Numbers that the client chooses: of a session on its socket, of a generation in its session, of a request. */
const label = z.int().min(0).max(0xffff_ffff);
const tokenId = z.int().min(0).max(0x7fff_ffff); // the vocabulary's bound is checked with the model at hand

const samplingFields = {
  temperature: z.number().min(0).max(100),
  topP: z.number().min(0).max(1), // 0: the most likely token
  topK: z.int().min(0).max(0x7fff_ffff),
  minP: z.number().min(0).max(1),
  repetitionPenalty: z
    .number()
    .min(repetitionPenaltyMin)
    .max(1 / repetitionPenaltyMin),
  frequencyPenalty: z.number().min(-2).max(2),
  presencePenalty: z.number().min(-2).max(2),
};

const sampling = z.object(samplingFields).partial();

const chatMessage = z.looseObject({
  role: z.string().min(1).max(NAME_LENGTH_MAX),
  // What the parts may be is for the model's template to say.
  content: z
    .union([z.string(), z.array(z.looseObject({ type: z.string(), text: z.string().exactOptional() }))])
    .nullable()
    .exactOptional(),
});

const helloSchema = z.object({
  type: z.literal('hello'),
  version: z.object({ min: z.int().min(1), max: z.int().min(1) }),
  client: z.string().max(NAME_LENGTH_MAX).optional(), // name and version, for the log
  apiKey: z.string().max(1024).optional(), // where the Authorization header cannot be set
});

const sessionOpen = z.object({
  type: z.literal('session.open'),
  session: label,
  request: label.optional(),
  sampling: sampling.optional(), // defaults of the session's generations, over the model's own
});

const sessionResume = z.object({
  type: z.literal('session.resume'),
  session: label, // its number on this connection from now on
  request: label.optional(),
  id: z.string().min(1).max(NAME_LENGTH_MAX),
  generation: label.optional(), // the latest that the client asked; absent: nothing of before is wanted
  index: z.int().min(0).optional(), // tokens of it that the client has; absent: none
  position: z.int().min(0).optional(), // the latest it was told: an older state of another node's is waited for, for a while
});

const contentFields = {
  text: z.string().optional(),
  tokens: z.array(tokenId).optional(),
  messages: z.array(chatMessage).max(MESSAGES_MAX).optional(),
};

const sessionAppend = z.object({
  type: z.literal('session.append'),
  session: label,
  request: label.optional(),
  suffix: z.string().optional(), // with text: fill in the middle, what follows the cursor
  ...contentFields,
});

const sessionEdit = z.object({
  type: z.literal('session.edit'),
  session: label,
  request: label.optional(),
  start: z.int().min(0), // first token of the span, in a chat: first message
  count: z.int().min(0), // of tokens or messages that are replaced
  ...contentFields, // what comes in their place; none of the three: nothing
});

const sessionFork = z.object({
  type: z.literal('session.fork'),
  session: label, // the new session's number
  request: label.optional(),
  of: label, // the session that is copied
  count: z.int().min(0).optional(), // leading tokens, in a chat: messages; absent: all
});

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

const questionFields = {
  maxTokens: z.int().min(0).optional(), // absent: as far as the context goes
  minTokens: z.int().min(0).optional(),
  ...sampling.shape,
  logitBias: z
    .array(z.tuple([tokenId, z.number().min(-100).max(100)]))
    .max(LOGIT_BIAS_MAX)
    .optional(),
  seed: z.union([z.int(), z.bigint().min(INT64_MIN).max(INT64_MAX)]).optional(),
  logprobs: z.int().min(0).max(20).optional(),
  stop: z.array(z.string().min(1).max(STOP_LENGTH_MAX)).max(STOP_STRINGS_MAX).optional(),
  ignoreStopTokens: z.boolean().optional(),
  prediction: z.string().optional(), // text that the answer will probably resemble
  speculation: z.boolean().optional(), // false: draw one token at a time; the answer is the same
  priority: z.enum(['turn', 'side']).optional(),
  deadlineUs: z.int().min(1).optional(), // from the arrival of this message
  reasoning: z.boolean().optional(), // told apart from the answer's text, where the model has marks for it
  frameIntervalUs: z.int().min(0).max(FRAME_INTERVAL_US_MAX).optional(), // between frames of tokens; 0 or absent: none
};

const generate = z.object({
  type: z.literal('generate'),
  session: label,
  generation: label,
  ...questionFields,
});

const steer = z.object({
  type: z.literal('steer'),
  session: label,
  generation: label, // the new one
  running: label, // the one to stop
  keep: z.boolean().optional(), // false: its answer so far leaves the session; default true
  ...contentFields, // what is appended before the new one begins
  ...questionFields,
});

const cancel = z.object({
  type: z.literal('cancel'),
  session: label,
  generation: label,
  keep: z.boolean().optional(), // false: the answer so far leaves the session; default true
});

const sessionClose = z.object({
  type: z.literal('session.close'),
  session: label,
  request: label.optional(),
});

const sessionsList = z.object({ type: z.literal('sessions.list'), request: label.optional() });

const sessionsShow = z.object({
  type: z.literal('sessions.show'),
  request: label.optional(),
  id: z.string().min(1).max(NAME_LENGTH_MAX),
  tokenCount: z.int().min(0).max(SHOWN_TOKENS_MAX).optional(), // of its end, as text
});

const sessionsDrop = z.object({
  type: z.literal('sessions.drop'),
  request: label.optional(),
  id: z.string().min(1).max(NAME_LENGTH_MAX),
});

const ping = z.object({ type: z.literal('ping'), nonce: label.optional() });

export const clientSchemas = {
  hello: helloSchema,
  'session.open': sessionOpen,
  'session.resume': sessionResume,
  'session.append': sessionAppend,
  'session.edit': sessionEdit,
  'session.fork': sessionFork,
  generate,
  steer,
  cancel,
  'session.close': sessionClose,
  'sessions.list': sessionsList,
  'sessions.show': sessionsShow,
  'sessions.drop': sessionsDrop,
  ping,
} as const;

export type ClientType = keyof typeof clientSchemas;
export type ClientMessage = z.output<(typeof clientSchemas)[ClientType]>;
export type MessageOf<T extends ClientType> = z.output<(typeof clientSchemas)[T]>;
export type SamplingFields = z.output<typeof sampling>;

/** First answer on a connection. Bounds are the server's; a client may rely on them until the socket closes. */
export interface ServerHello {
  readonly type: 'hello';
  readonly version: number;
  readonly server: string;
  readonly model: string;
  readonly device: string;
  readonly timeUs: number; // server clock now: the origin is arbitrary, the same as of every other timeUs
  readonly limits: {
    readonly contextTokensMax: number; // transcript and answer of one session
    readonly frameSizeMax: number; // bytes of one frame to the server
    readonly sessionCountMax: number; // open at a time, per connection
    readonly sessionIdleSeconds: number; // a session without a message is closed after this long
    readonly replayTokensMax: number; // latest tokens of an answer that are kept
    readonly logprobsMax: number;
  };
  readonly features: {
    readonly chat: boolean;
    readonly fillInTheMiddle: boolean;
    readonly reasoning?: boolean; // `reasoning` of a question means something: the model has marks
  };
}

export interface SessionOpened {
  readonly type: 'session.opened';
  readonly session: number;
  readonly request?: number;
  readonly id: string; // the session's lasting name, unguessable
}

/** The session is this connection's now. What the client lacks follows, then what comes. */
export interface SessionResumed {
  readonly type: 'session.resumed';
  readonly session: number;
  readonly request?: number;
  readonly id: string;
  readonly position: number; // tokens in the session now
  readonly generation: number | null; // the latest that was asked; null: none
  readonly nextIndex: number; // tokens that it has so far
  readonly running: boolean; // it has not ended
}

/** A newer connection has resumed the session; its number is free here. */
export interface SessionTaken {
  readonly type: 'session.taken';
  readonly session: number;
}

export interface SessionEdited {
  readonly type: 'session.edited';
  readonly session: number;
  readonly request?: number;
  readonly start: number; // first token that changed
  readonly tokenCount: number; // from there on: what has to be computed again
  readonly position: number;
}

export interface SessionForked {
  readonly type: 'session.forked';
  readonly session: number; // the new one
  readonly request?: number;
  readonly id: string;
  readonly position: number;
}

/** One of the key's sessions. */
export interface SessionSummary {
  readonly id: string;
  readonly position: number; // tokens
  readonly attached: boolean; // a connection has it
  readonly generation: number | null; // the latest
  readonly running: boolean; // it has not ended
  readonly ageUs: number; // since it was opened
  readonly idleUs: number; // since it was used
}

export interface SessionsListed {
  readonly type: 'sessions.listed';
  readonly request?: number;
  readonly sessions: readonly SessionSummary[];
}

export interface SessionsShown {
  readonly type: 'sessions.shown';
  readonly request?: number;
  readonly summary: SessionSummary;
  readonly text: string; // of its last tokens
}

export interface SessionsDropped {
  readonly type: 'sessions.dropped';
  readonly request?: number;
  readonly id: string;
}

export interface SessionAppended {
  readonly type: 'session.appended';
  readonly session: number;
  readonly generation?: number; // the append was a steer's
  readonly request?: number;
  readonly tokenCount: number; // added by this append
  readonly position: number; // tokens in the session now
}

/** What became of the background prefill that an append started. */
export interface SessionPrefilled {
  readonly type: 'session.prefilled';
  readonly session: number;
  readonly outcome: 'done' | 'superseded' | 'refused' | 'failed'; // superseded: a generation took over
  readonly position: number; // tokens from the start that this prefill was asked to compute
  readonly cachedTokens: number; // of these, found in the prefix cache
  readonly computedTokens: number;
  readonly queueUs: number;
}

/** One or more tokens of an answer; the only frequent message, sent as an array (see protocol.ts). */
export interface TokensFrame {
  readonly type: 'tokens';
  readonly session: number;
  readonly generation: number;
  readonly index: number; // of tokens[0] within the answer, from 0
  readonly timeUs: number; // server clock when the last of them was drawn
  readonly tokens: readonly number[];
  readonly text: string; // '' while a character or a possible stop string is incomplete
  readonly logprobs: readonly WireLogprobs[] | null;
  readonly reasoning?: string; // what the model thought, before the text; only where it was asked for, never ''
}

/** Of one token: its logprob, then the most likely ids and theirs. Natural logarithms. */
export type WireLogprobs = readonly [number, readonly number[], readonly number[]];

export interface GenerationEnded {
  readonly type: 'generation.end';
  readonly session: number;
  readonly generation: number;
  readonly reason: 'stop' | 'length' | 'cancelled' | 'failed';
  readonly text: string; // what was held back for a stop string that never came; usually ''
  readonly reasoning?: string; // likewise of what the model thought
  readonly stopString: string | null;
  readonly position: number; // tokens in the session now
  readonly usage: {
    readonly promptTokens: number;
    readonly cachedTokens: number; // prompt tokens that were not computed
    readonly missReason?: 'none' | 'new' | 'grown' | 'differs' | 'evicted'; // why the others were
    readonly outputTokens: number;
    readonly acceptedDraftTokens: number; // output tokens that had been guessed ahead
    readonly rejectedDraftTokens: number; // guesses that were wrong
    readonly reasoningTokens?: number; // of the output, marks included; where it was told apart
  };
  readonly timings: {
    readonly queueUs: number; // submitted → first seat
    readonly ttftUs: number | null; // message received → first token drawn
    readonly tpotUs: number | null; // (last token − first token) / (tokens − 1)
    readonly totalUs: number; // message received → end
  };
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly retryable: boolean } | null;
}

export interface SessionClosed {
  readonly type: 'session.closed';
  readonly session: number;
  readonly request?: number;
  readonly reason: 'requested' | 'expired' | 'dropped'; // dropped: by its owner, from another connection
}

export interface ErrorMessage {
  readonly type: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterUs?: number;
  readonly param?: string; // path of the field that was refused: messages[2].content
  readonly session?: number; // the refused message's own numbers, as far as it had them
  readonly generation?: number;
  readonly request?: number;
}

export interface Pong {
  readonly type: 'pong';
  readonly nonce?: number;
  readonly timeUs: number;
}

export type ServerMessage =
  | ServerHello
  | SessionOpened
  | SessionResumed
  | SessionTaken
  | SessionEdited
  | SessionForked
  | SessionsListed
  | SessionsShown
  | SessionsDropped
  | SessionAppended
  | SessionPrefilled
  | TokensFrame
  | GenerationEnded
  | SessionClosed
  | ErrorMessage
  | Pong;
