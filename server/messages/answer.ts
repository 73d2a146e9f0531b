// Runs the generation of one message and delivers it, whole or as events. Owns cancellation when the caller leaves,
// pausing for a slow reader, and the counts of the prefix cache in Anthropic's words. Before it: routes.ts; after it:
// generation/generation.ts and back through writer.ts.
import { faultOfFailure, faultOfRefusal } from '../base/errors.ts';
import { tellPrefix } from '../chat/answer.ts';
import type { ReadyAnswer } from '../chat/answering.ts';
import { extensionOf } from '../chat/usage.ts';
import type { GenerationEnd } from '../generation/generation.ts';
import { lastTurnReport } from '../generation/prefix-report.ts';
import type { HttpCall } from '../http/http-call.ts';
import { EventStream } from '../http/sse.ts';
import type { MessagesService } from './messages-service.ts';
import { type MessageUsage, MessageWriter, type WriterOptions } from './writer.ts';

export interface MessageAnswer {
  readonly ready: ReadyAnswer; // of one choice
  readonly promptTokenCount: number;
  readonly stream: boolean;
  readonly writer: Omit<WriterOptions, 'emit'>;
  readonly marked: boolean; // the client marked what it wants cached: it is told what was kept
}

const PING = 'event: ping\ndata: {"type": "ping"}\n\n';

/** Answers the call, sooner or later, exactly once. */
export function deliverMessage(call: HttpCall, answer: MessageAnswer, service: MessagesService): void {
  const { ready, promptTokenCount, marked } = answer;
  const { blockSize } = service;
  let stream: EventStream | null = null;
  const emit = answer.stream ? (event: string, json: string) => stream?.send(json, event) : null;
  const writer = new MessageWriter({ ...answer.writer, emit });
  const reader = ready.newReader(writer);
  const started = ready.start({
    onDelta: (delta) => reader.push(delta),
    onEnd: (end) => {
      if (end.reason === 'cancelled') return;
      if (end.failure !== null) {
        stream?.stop();
        call.refuse(faultOfFailure(end.failure));
        return;
      }
      reader.end(end.reason === 'length');
      const usage = { ...usageOf(end, marked ? blockSize : null), ...extensionOf([end]) };
      const message = writer.end(end, usage);
      if (stream === null) {
        tellPrefix(call, usage.sparklane?.prefix ?? {});
        call.reply(200, message);
      } else stream.end();
    },
  });
  if (!started.ok) {
    call.refuse(faultOfRefusal(started));
    return;
  }
  call.onAbort(() => {
    stream?.stop();
    started.cancel();
  });
  if (!answer.stream) return;
  tellPrefix(call, lastTurnReport(ready.lastTurn));
  stream = new EventStream(call, {
    clock: service.clock,
    heartbeat: PING,
    bufferSizeMax: service.bounds.streamBufferSizeMax,
    onSlow: () => started.pause(),
    onReady: () => started.resume(),
  });
  // What the cache holds of the prompt is known once it has been computed: message_delta says it.
  const unknown = { promptTokens: promptTokenCount, cachedTokens: 0, outputTokens: 0 };
  writer.start(usageOf(unknown, null));
}

/**
 * `blockSize` where the client marked what to cache: whole blocks of the prompt are kept, whatever is marked. The three
 * input counts add up to the prompt.
 */
function usageOf(
  {
    promptTokens,
    cachedTokens,
    outputTokens,
  }: Pick<GenerationEnd, 'promptTokens' | 'cachedTokens' | 'outputTokens'>,
  blockSize: number | null,
): MessageUsage {
  const kept = blockSize === null ? 0 : Math.floor(promptTokens / blockSize) * blockSize;
  const created = Math.max(0, kept - cachedTokens);
  return {
    input_tokens: promptTokens - cachedTokens - created,
    cache_creation_input_tokens: created,
    cache_read_input_tokens: cachedTokens,
    output_tokens: outputTokens,
    service_tier: 'standard',
  };
}
