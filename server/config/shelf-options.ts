// Options of what is in memory and for how long, and of embeddings. Part of the table in options.ts.
import { option } from './option.ts';
import { duration, GIB, integer, MIB, orNull, size, text } from './option-domains.ts';

export const SHELF_OPTIONS = {
  modelsDirectory: option('models-dir', orNull('none', text(4096)), null).says(
    'directory whose models are served too, each loaded when a request names it: GGUF files and model directories, also as OWNER/NAME',
  ),
  modelsMemoryMax: option('models-memory-max', orNull('machine', size(16 * MIB, 16 * 1024 * GIB)), null).says(
    'memory of all models together, weights and KV; the least recently used makes room; "machine" is four fifths of it',
  ),
  idleUnloadMs: option('idle-unload', orNull('never', duration(0, 720 * 3_600_000)), null).says(
    'a model that nobody used for this long is unloaded, such as 5m; a request may say otherwise with keep_alive',
  ),
  embeddingInputsMax: option('embedding-inputs', integer(1, 65_536), 2048).says(
    'texts of one embeddings request',
  ),
  embeddingTokensMax: option('embedding-tokens', integer(1, 16_777_216), 300_000).says(
    'tokens of one embeddings request, all its texts together',
  ),
};
