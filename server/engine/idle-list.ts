// IdleList: blocks nobody holds, in the order in which they were let go. A list through the nodes themselves, so that a
// block that is wanted again leaves it at once. Used by prefix-cache.ts.

/** Neighbours of a node that is in a list; both null in a list of one, and outside. */
export interface IdleLinks<Node> {
  older: Node | null;
  newer: Node | null;
}

export class IdleList<Node extends IdleLinks<Node>> {
  #oldest: Node | null = null;
  #newest: Node | null = null;

  get oldest(): Node | null {
    return this.#oldest;
  }

  append(node: Node): void {
    node.older = this.#newest;
    if (this.#newest === null) this.#oldest = node;
    else this.#newest.newer = node;
    this.#newest = node;
  }

  /** The node must be in this list. */
  remove(node: Node): void {
    if (node.older === null) this.#oldest = node.newer;
    else node.older.newer = node.newer;
    if (node.newer === null) this.#newest = node.older;
    else node.newer.older = node.older;
    node.older = null;
    node.newer = null;
  }

  /** From the oldest to the newest. */
  *[Symbol.iterator](): Iterator<Node> {
    for (let node = this.#oldest; node !== null; node = node.newer) yield node;
  }
}
