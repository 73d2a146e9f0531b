// A store of KV blocks that nodes share, in memory: it can be gone, full, silent, lose a block or give another one. For tests.
import { type BlockRecord, type BlockStore, StoreFullError } from '../server/cluster/block-store.ts';
import { MemoryLink } from './memory-link.ts';

export class MemoryBlocks extends MemoryLink implements BlockStore {
  readonly kept = new Map<string, Uint8Array>();
  full = false;
  silent = false; // it is there, and does not answer
  answers: (answer: () => void) => void = (answer) => answer(); // when it does
  readonly asked: number[] = []; // names of each question
  readonly used: string[][] = []; // with each write

  async count(names: readonly string[]): Promise<number> {
    this.asked.push(names.length);
    await this.#reach();
    await new Promise<void>((resolve) => this.answers(resolve));
    const gap = names.findIndex((name) => !this.kept.has(name));
    return gap === -1 ? names.length : gap;
  }

  async read(names: readonly string[]): Promise<readonly (Uint8Array | null)[]> {
    await this.#reach();
    return names.map((name) => this.kept.get(name)?.slice() ?? null);
  }

  async write(records: readonly BlockRecord[], used: readonly string[]): Promise<void> {
    await this.#reach();
    if (this.full) throw new StoreFullError('OOM command not allowed');
    for (const { name, bytes } of records) this.kept.set(name, bytes.slice());
    this.used.push([...used]);
  }

  async forget(name: string): Promise<void> {
    await this.#reach();
    this.kept.delete(name);
  }

  override clear(): void {
    this.kept.clear();
  }

  async #reach(): Promise<void> {
    this.reach();
    if (this.silent) await new Promise(() => {});
  }
}
