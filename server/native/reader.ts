// What a session tells, as frames with the client's number for that session. Owns the mapping of the server's
// milliseconds and faults to the wire; keeps no state of the conversation. Before it: sessions/session.ts; after it:
// client/protocol.ts for the bytes, connection.ts for the socket.

import { ERRORS, type Fault } from '../base/errors.ts';
import type { ErrorMessage, ServerMessage, WireLogprobs } from '../client/messages.ts';
import { encodeTokens, type FrameLabels } from '../client/protocol.ts';
import type { SessionReader } from '../sessions/answer-line.ts';
import type { OutboxBatch } from '../sessions/outbox.ts';
import type { PrefillReport } from '../sessions/prefill-ahead.ts';
import type { AnswerEnd } from '../sessions/session-answer.ts';

/** The connection, as its readers see it. */
export interface FrameWriter {
  readonly ready: boolean; // the peer keeps up
  send(message: ServerMessage): void;
  sendFrame(frame: Uint8Array): void;
}

/** Turns what a session tells into frames with the client's number for it. */
export class Reader implements SessionReader {
  readonly #writer: FrameWriter;
  readonly #session: number;

  constructor(writer: FrameWriter, session: number) {
    this.#writer = writer;
    this.#session = session;
  }

  isReady(): boolean {
    return this.#writer.ready;
  }

  onTokens(generation: number, batch: OutboxBatch): void {
    const { index, tokens, text, reasoning, logprobs } = batch;
    this.#writer.sendFrame(
      encodeTokens({
        type: 'tokens',
        session: this.#session,
        generation,
        index,
        timeUs: toUs(batch.timeMs),
        tokens,
        text,
        logprobs: logprobs?.map((l): WireLogprobs => [l.logprob, l.topTokens, l.topLogprobs]) ?? null,
        ...(reasoning !== '' && { reasoning }),
      }),
    );
  }

  onEnd(end: AnswerEnd): void {
    const { generation, reason, text, reasoning, reasoningTokens, stopString, position } = end;
    const { promptTokens, cachedTokens, outputTokens, acceptedDraftTokens, rejectedDraftTokens } = end;
    const why = end.missReason === null ? {} : { missReason: end.missReason };
    this.#writer.send({
      type: 'generation.end',
      session: this.#session,
      generation,
      reason,
      text,
      ...(reasoning !== '' && { reasoning }),
      stopString,
      position,
      usage: {
        promptTokens,
        cachedTokens,
        outputTokens,
        acceptedDraftTokens,
        rejectedDraftTokens,
        ...why,
        ...(reasoningTokens !== null && { reasoningTokens }),
      },
      timings: {
        queueUs: toUs(end.queueMs),
        ttftUs: end.ttftMs === null ? null : toUs(end.ttftMs),
        tpotUs: end.tpotMs === null ? null : toUs(end.tpotMs),
        totalUs: toUs(end.totalMs),
      },
      error:
        end.fault === null
          ? null
          : {
              code: end.fault.code,
              message: end.fault.message,
              retryable: ERRORS[end.fault.code].retryable,
            },
    });
  }

  onPrefilled(report: PrefillReport): void {
    const { outcome, position, cachedTokens, computedTokens, queueMs } = report;
    const queueUs = toUs(queueMs);
    const session = this.#session;
    this.#writer.send({
      type: 'session.prefilled',
      session,
      outcome,
      position,
      cachedTokens,
      computedTokens,
      queueUs,
    });
  }

  onSteered(generation: number, appended: { readonly tokenCount: number; readonly position: number }): void {
    this.#writer.send({ type: 'session.appended', session: this.#session, generation, ...appended });
  }

  onRefused(generation: number, refused: Fault): void {
    this.#writer.send(errorMessage(refused, { session: this.#session, generation }));
  }
}

/** A refusal as a message; `labels`: the numbers of what is refused. */
export function errorMessage(
  { code, message, param, retryAfterMs }: Fault,
  labels: FrameLabels,
): ErrorMessage {
  return {
    type: 'error',
    code,
    message,
    retryable: ERRORS[code].retryable,
    ...(retryAfterMs !== null && { retryAfterUs: toUs(retryAfterMs) }),
    ...(param !== null && { param }),
    ...labels,
  };
}

/** Integers are smaller on the wire than fractions, and a microsecond is as fine as a clock is true. */
export function toUs(ms: number): number {
  return Math.round(ms * 1000);
}
