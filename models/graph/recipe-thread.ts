// Worker-thread entry: opens the same checkpoint as the builder, makes the bytes of the recipes that it is asked for, and ends
// with its port. Before it: recipe-threads.ts; after it: decoder.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { loadCheckpoint } from '../checkpoint/checkpoint.ts';
import { withAdapters } from '../checkpoint/lora.ts';
import { writeDecoder } from './decoder.ts';
import { paddedHeads } from './padded-heads.ts';
import type { MadeRecipe, RecipeTask } from './recipe-threads.ts';
import { smoothed } from './smoothing.ts';

const { path, adapters, spec: given, format, ranges } = workerData as RecipeTask;
const checkpoint = paddedHeads({ ...withAdapters(loadCheckpoint(path), adapters), spec: given });
const { spec } = checkpoint;
const source = ranges === null ? checkpoint : smoothed(spec, checkpoint, ranges);
const { recipes } = writeDecoder(spec, format, source);

parentPort!.on('message', (index: number) => {
  // Copied: what was made may be a view into a file's whole mapping, and a view is sent with all that it looks into.
  const contents = recipes[index]!.produce().map((bytes) => new Uint8Array(bytes));
  const made: MadeRecipe = { index, contents };
  parentPort!.postMessage(
    made,
    contents.map(({ buffer }) => buffer),
  );
});
