// Worker-thread entry: loads the tokenizer of a model and tokenises text after text until it is terminated.
// Before it: text-thread.ts; after it: models/tokenizer.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { loadModel } from '../../models/model.ts';
import type { FromText, TextSetup, ToText } from './text-thread.ts';

const port = parentPort!;
const { tokenizer } = loadModel((workerData as TextSetup).model);

port.on('message', ({ number, text, mode }: ToText) => {
  const tokens = tokenizer.encode(text, mode);
  port.postMessage({ number, tokens } satisfies FromText, [tokens.buffer as ArrayBuffer]);
});
