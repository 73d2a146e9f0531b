// A model that writes, with its engine: how long its steps may be, which tokens its readers wait for, and, for a model beside the
// server's own, the whole of it over a device that comes and goes. Before it: compose.ts and cli/model-table.ts; after it:
// model-service.ts.
import type { Backend } from '../../kernels/backend.ts';
import type { Model } from '../../models/model.ts';
import { Detokenizer } from '../../models/tokenizer/detokenizer.ts';
import { containedClock } from '../base/contained.ts';
import type { Config } from '../config/config.ts';
import type { DecoderDevice } from '../device/decoder-device.ts';
import { Engine, type EngineBounds } from '../engine/engine.ts';
import type { EngineObserver } from '../engine/observer.ts';
import { SERVED_POLICY } from '../engine/policy.ts';
import type { IncrementalText, TextOptions } from '../generation/generation.ts';
import { toolSyntaxOf } from '../tools/dialect.ts';
import { createModelService, type ModelParts, type ModelService, type SharedParts } from './model-service.ts';

export interface DecoderParts extends Omit<ModelParts, 'openText' | 'backend' | 'engine' | 'model'> {
  readonly model: Model;
  readonly device: DecoderDevice;
  readonly observer: EngineObserver;
}

export interface ServedDecoder {
  readonly engine: Engine;
  readonly service: ModelService;
}

export function openDecoder(parts: DecoderParts, shared: SharedParts): ServedDecoder {
  const { config, model, device, clock, observer } = parts;
  const { backend } = device;
  const boundsFor = (next: Backend) => engineBounds(config, next);
  const engine = new Engine(backend, clock, boundsFor(backend), observer);
  device.attach(engine, boundsFor);
  const { name, limits } = backend;
  return {
    engine,
    service: createModelService(
      {
        ...parts,
        ...{ cluster: null, backend: { name, limits }, engine, openText: textsOf(model) },
        clock: containedClock(clock, parts.log), // callers' timers, not the engine's
      },
      shared,
    ),
  };
}

/** Makes the text of an answer as it is drawn. */
export function textsOf(model: Model): (options?: TextOptions) => IncrementalText {
  const marks = new Set(marksOf(model));
  return (options) => new Detokenizer(model.tokenizer, options?.specials === true ? 'all' : marks);
}

/** Tokens that stand for marks which the routes read out of an answer, even where the vocabulary calls them special. */
function marksOf(model: Model): readonly number[] {
  const { chatTemplate, tokenizer } = model;
  const { open, close } = chatTemplate?.reasoning ?? { open: '', close: '' };
  const toolSyntax = toolSyntaxOf(model);
  const called = toolSyntax.kind === 'foreign' ? toolSyntax.syntax.marks : ['<tool_call>', '</tool_call>'];
  return [open, close, ...called].flatMap((mark) => tokenizer.specialTokenId(mark) ?? []);
}

const RETRY_AFTER_MS = 1000; // told to who finds the queue full

export function engineBounds(config: Config, { limits, prefill }: Backend): EngineBounds {
  const chunkTokens = Math.min(prefill?.chunkTokens ?? config.prefillChunkTokens, limits.rowTokensMax);
  return {
    prefillChunkTokens: chunkTokens,
    prefillTokensPerStep: prefill?.tokensPerStep ?? chunkTokens,
    ...SERVED_POLICY,
    queueLengthMax: config.queueLengthMax,
    retryAfterMs: RETRY_AFTER_MS,
    findsAnswers: config.invariance !== 'full',
    keepsSeats: config.keepSeats === 'on',
  };
}
