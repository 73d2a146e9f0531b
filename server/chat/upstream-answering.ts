// The upstream of a lane as who answers. It has been asked already, in messages: nothing is laid out or counted here, and
// it sees to the form by itself. Owns what its events mean to the request's tools. Before it: lane-edge.ts; after it:
// upstream/answer.ts.
import { commonMarks } from '../../models/template/reasoning-marks.ts';
import type { AnswerEvent } from '../generation/generation.ts';
import type { LaneEntry } from '../lanes/entry.ts';
import { customInputKey } from '../tools/definition.ts';
import type { UpstreamAnswer } from '../upstream/answer.ts';
import { type AnswerEvents, type AnswerReader, plainReader } from './answer-reader.ts';
import type { Answering, LaneRoute } from './answering.ts';
import type { ChatService } from './chat-service.ts';
import { minTokensFault } from './fields.ts';
import { ReasoningReader } from './reasoning-reader.ts';
import type { WireTool } from './tool-set.ts';

const OPENAI_DEFAULTS = { temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 };

export function upstreamAnswering(
  { answerLog, bounds, clock }: Pick<ChatService, 'answerLog' | 'bounds' | 'clock'>,
  {
    entry,
    answer,
    route,
  }: { readonly entry: LaneEntry; readonly answer: UpstreamAnswer; readonly route: LaneRoute },
): Answering {
  const { name } = entry.lane;
  const promptTokenCount = Math.max(1, entry.report.signals.contextTokens); // about
  return {
    model: { name, chatTemplate: null, defaults: OPENAI_DEFAULTS },
    fingerprint: `fp_${name}`,
    contextTokensMax: Number.POSITIVE_INFINITY, // it knows its own bounds, and says so
    route,
    withForm: ({ tools }, then) => {
      const newReader = (events: AnswerEvents) => upstreamReader(tools.callable, events);
      then({ ok: true, value: { newConstraint: null, newReader } });
    },
    layOut: () => ({ ok: true, value: { tokens: new Int32Array(0), reasoning: null } }),
    prepare: (fields, { maxTokens, route: askedFor }) => {
      const refused = minTokensFault(fields.min_tokens ?? 0, maxTokens);
      if (refused !== null) return { ok: false, fault: refused };
      const choiceCount = fields.n ?? 1;
      const request = { choiceCount, route: askedFor, promptTokenCount };
      const deadlineMs = clock.nowMs() + bounds.requestTimeoutMs;
      return {
        ok: true,
        value: {
          promptTokenCount,
          ready: ({ newReader }) => ({
            newReader,
            choiceCount,
            start: (sink) =>
              entry.metered(sink, choiceCount, (meter) =>
                answer.start({ ...request, deadlineMs }, answerLog.watch(request, meter, name)),
              ),
          }),
        },
      };
    },
  };
}

/** Reads what an upstream has said; a tool that was not offered is shown under the name it was called by. */
export function upstreamReader(tools: readonly WireTool[], events: AnswerEvents): AnswerReader {
  const byName = new Map(tools.map((tool) => [tool.tool.name, tool]));
  // Upstreams that do not set reasoning apart leave the marks of most families in the text.
  const text = new ReasoningReader({ marks: commonMarks, open: false }, events, plainReader(events));
  let called: WireTool | null = null;
  let held = ''; // of a custom tool's arguments: told once they are whole
  const tell = (event: AnswerEvent): void => {
    if (event.kind === 'text') {
      text.push(event);
      return;
    }
    text.settle();
    if (event.kind === 'reasoning') events.reasoning(event.text);
    else if (event.kind === 'callStart') {
      called = byName.get(event.name) ?? stranger(event.name);
      held = '';
      events.callStart(called);
    } else if (event.kind === 'callDelta') {
      if (called?.tool.kind === 'custom') held += event.text;
      else events.callDelta(event.text);
    } else {
      if (called?.tool.kind === 'custom') events.callDelta(customInput(held));
      called = null;
      events.callEnd(true);
    }
  };
  return {
    get inCall() {
      return called !== null;
    },
    push: (delta) => {
      for (const event of delta.events ?? []) tell(event);
    },
    end: (cut) => {
      text.end(cut);
      if (called !== null) events.callEnd(false);
      called = null;
    },
  };
}

function stranger(name: string): WireTool {
  const tool = { kind: 'function', name, description: null, parameters: null, strict: false } as const;
  return { tool, wireName: name, namespace: null };
}

/** A custom tool went to the upstream as a function of one text. */
function customInput(json: string): string {
  try {
    const value = JSON.parse(json) as Readonly<Record<string, unknown>> | null;
    const input = value?.[customInputKey];
    if (typeof input === 'string') return input;
  } catch {
    // it wrote the input itself
  }
  return json;
}
