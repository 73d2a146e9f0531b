// Options of the model: which one, under what names, with which adapters, and how it draws where a request does not say.
// Part of the table in options.ts.
import { option } from './option.ts';
import { integer, list, orNull, real, text } from './option-domains.ts';

export const MODEL_OPTIONS = {
  model: option('model', text(4096), 'smollm2-135m-instruct').says(
    'name of an embedded model, a model directory, a GGUF file, or OWNER/NAME of the hub, which is pulled if it is not in the cache',
  ),
  aliases: option('alias', list(text(256), 64), []).says(
    'other name that the model answers to and is listed under, or claude-* for all that begin so; repeatable',
  ),
  lora: option('lora', list(text(4096), 16), []).says(
    'adapter merged into the model: a PEFT directory or a GGUF file, with =SCALE behind it for more or less of it; repeatable',
  ),
  temperature: option('temperature', orNull('model', real(0, 100)), null).says(
    'for requests that do not say; 0 is greedy; "model" is its author\'s advice, else 0.3',
  ),
  topP: option('top-p', orNull('model', real(0, 1)), null).says('likewise; 1 is off; else 0.95'),
  topK: option('top-k', orNull('model', integer(0, 2 ** 31 - 1)), null).says('likewise; 0 is off; else 40'),
  minP: option('min-p', orNull('model', real(0, 1)), null).says('likewise; 0 is off; else 0.05'),
  repetitionPenalty: option('repetition-penalty', orNull('model', real(0.01, 100)), null).says(
    'likewise; 1 is off, and without advice it is',
  ),
};
