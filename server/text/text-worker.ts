// Worker-thread entry: loads a model's tokenizer and chat template, then tokenises text after text and lays out conversation
// after conversation until it is terminated. Before it: text-thread.ts; after it: models/tokenizer/tokenizer.ts and models/template/chat-template.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { loadModel } from '../../models/model.ts';
import { ChatTemplateError } from '../../models/template/chat-template.ts';
import type { FromText, Rendered, RenderTask, TextSetup, ToText } from './text-thread.ts';

const port = parentPort!;
let nowMs = 0; // what a template may print
const { tokenizer, chatTemplate } = loadModel((workerData as TextSetup).model, () => new Date(nowMs));

port.on('message', ({ number, task }: ToText) => {
  if (task.kind === 'render') {
    port.postMessage({ number, rendered: rendered(task) } satisfies FromText);
    return;
  }
  const tokens = tokenizer.encode(task.text, task.mode);
  port.postMessage({ number, tokens } satisfies FromText, [tokens.buffer as ArrayBuffer]);
});

function rendered({ messages, options, atMs }: RenderTask): Rendered {
  nowMs = atMs;
  try {
    return { ok: true, text: chatTemplate!.render(messages, options) };
  } catch (error) {
    if (error instanceof ChatTemplateError) return { ok: false, refused: error.message };
    throw error;
  }
}
