// Worker-thread entry: opens a graph of states with its first text, then pools text after text. Before it: embedder.ts;
// after it: text-states.ts and models/encoder/pooling.ts.
import { workerData } from 'node:worker_threads';
import { pooled } from '../../models/encoder/pooling.ts';
import type { EmbedderSetup, EmbedTask } from './embedder.ts';
import { OrtError, openBindingSession, openSession } from './ort.ts';
import type { GraphSession, SessionOptions } from './runtime.ts';
import { TextStates } from './text-states.ts';

const setup = workerData as EmbedderSetup;
let opened: Promise<TextStates> | null = null;

/** Without ids: only opens. Rejects with OrtError. */
export default async function embed({ ids, dimensions }: EmbedTask): Promise<Float32Array> {
  opened ??= open();
  const states = await opened;
  if (ids === null) return new Float32Array();
  return pooled(setup.pooling, states.of(ids), setup.shape.hiddenSize, dimensions);
}

async function open(): Promise<TextStates> {
  const { modelPath, threadCount: intraOpThreads, shape } = setup;
  return new TextStates(await openAny({ modelPath, intraOpThreads, spinning: false }), shape);
}

async function openAny(options: SessionOptions): Promise<GraphSession> {
  try {
    return openSession(options);
  } catch (error) {
    if (!(error instanceof OrtError) || error.code !== 'unavailable') throw error;
    return openBindingSession(options);
  }
}
