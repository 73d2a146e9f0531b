// KeyChain: the name of a KV block's content: a hash over everything that decides about it. Two blocks have the same
// name only if model, precision, template, API key and every token up to their end are the same; nobody without the
// API key can make or guess one. Pure. Before it: server/engine/cold-tier.ts asks; after it: kv-archive.ts looks up.
import { createHash } from 'node:crypto';
import type { BlockKey } from '../engine/block-archive.ts';

export const KEY_SIZE = 32; // bytes; a key is a string of as many latin-1 characters

export interface KeyChainOptions {
  readonly blockSize: number; // tokens
  readonly namespace: readonly string[]; // model content, precision, template, device: whatever KV depends on
  /** What only the owner of a cache salt knows, such as the API key; '' where there are no owners. */
  readonly secretOf: (salt: string) => string;
}

export class KeyChain {
  readonly #options: KeyChainOptions;
  readonly #roots = new Map<string, BlockKey>(); // by salt; bounded by the number of API keys

  constructor(options: KeyChainOptions) {
    this.#options = options;
  }

  rootKey(salt: string): BlockKey {
    const known = this.#roots.get(salt);
    if (known !== undefined) return known;
    const { namespace, blockSize, secretOf } = this.#options;
    // JSON keeps the parts apart, whatever is in them.
    const parts = JSON.stringify(['sparklane-kv-1', blockSize, ...namespace, secretOf(salt)]);
    const key = createHash('sha256').update(parts).digest().toString('latin1');
    this.#roots.set(salt, key);
    return key;
  }

  nextKey(parent: BlockKey, tokens: Int32Array, start: number): BlockKey {
    const { blockSize } = this.#options;
    const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset + 4 * start, 4 * blockSize);
    return createHash('sha256').update(parent, 'latin1').update(bytes).digest().toString('latin1');
  }
}
