// The world of the OpenAI routes as a request in a lane sees it: the lane's name as the model, its system prompt, its meter,
// and for an upstream its open answer as the generator. Makes one; owns nothing. Before it: lane-edge.ts; after it: the
// routes, which notice no difference.
import { commonMarks } from '../../models/reasoning-marks.ts';
import type { GenerateResult, GenerationRequest, GenerationSink } from '../generation/generation.ts';
import type { LaneEntry } from '../lanes/entry.ts';
import type { ServedModel } from '../text/served-model.ts';
import { framedReader } from './framed-reader.ts';
import { ReasoningReader } from './reasoning-reader.ts';
import type { OpenAiWorld } from './world.ts';

const TOKENS_MAX = 2 ** 31 - 1; // an upstream knows its own bounds, and says so

export function laneWorld<W extends OpenAiWorld>(world: W, entry: LaneEntry): W {
  const { answer, lane, system, metadata } = entry;
  const { generator } = world;
  const route = { system, metadata, release: () => entry.release() };
  if (answer === null) {
    const start = (request: GenerationRequest, sink: GenerationSink) =>
      metered(entry, request, sink, (meter) => generator.start(request, meter));
    const { contextTokensMax } = generator;
    return {
      ...world,
      route,
      model: { ...world.model, name: lane.name },
      generator: { start, contextTokensMax },
    };
  }
  // The upstream has been asked already, in messages: nothing is laid out or counted here.
  const promptTokens = entry.report.signals.contextTokens;
  const start = (request: GenerationRequest, sink: GenerationSink) =>
    metered(entry, request, sink, (meter) =>
      answer.start(request, world.answerLog.watch(request, meter, lane.name)),
    );
  return {
    ...world,
    route,
    model: upstreamModel(world.model, lane.name),
    prompts: { encode: () => ({ ok: true, value: new Int32Array(Math.max(1, promptTokens)) }) },
    forms: {
      ...world.forms,
      elsewhere: (tools) => ({
        newConstraint: null,
        // Upstreams that do not set reasoning apart leave the marks of most families in the text.
        newReader: (parts) =>
          new ReasoningReader(
            { marks: commonMarks, open: false },
            parts,
            framedReader(tools.callable, parts),
          ),
      }),
    },
    bounds: { ...world.bounds, draftTokensMax: 0 },
    fingerprint: `fp_${lane.name}`,
    generator: { start, contextTokensMax: TOKENS_MAX },
  };
}

function metered(
  entry: LaneEntry,
  request: GenerationRequest,
  sink: GenerationSink,
  start: (sink: GenerationSink) => GenerateResult,
): GenerateResult {
  const started = start(entry.meter(sink, request.choiceCount));
  if (!started.ok) entry.unstart();
  return started;
}

function upstreamModel(model: ServedModel, name: string): ServedModel {
  return {
    ...model,
    name,
    spec: { vocabSize: TOKENS_MAX, eosTokenIds: [] },
    chatTemplate: { render: () => '' },
    defaults: { temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 }, // OpenAI's
    fim: null,
  };
}
