// Values by their texts, found by walking along another text: which of them begin at a place, and how long they are.
// Used by added-tokens.ts and unigram-encoder.ts.

interface Node<T> {
  readonly next: Map<string, Node<T>>; // by UTF-16 unit
  value: T | undefined;
}

export class PrefixTree<T> {
  readonly #root: Node<T> = { next: new Map(), value: undefined };

  /** The first value of a text stays. */
  add(text: string, value: T): void {
    let node = this.#root;
    for (let at = 0; at < text.length; at++) {
      let next = node.next.get(text[at]!);
      if (!next) {
        next = { next: new Map(), value: undefined };
        node.next.set(text[at]!, next);
      }
      node = next;
    }
    node.value ??= value;
  }

  /** The units that texts begin with. */
  firstUnits(): string[] {
    return [...this.#root.next.keys()];
  }

  /** Calls for every text that begins at `start`, shortest first; `length` in UTF-16 units. */
  visit(text: string, start: number, found: (value: T, length: number) => void): void {
    let node = this.#root.next.get(text[start]!);
    for (let at = start + 1; node; at++) {
      if (node.value !== undefined) found(node.value, at - start);
      node = at < text.length ? node.next.get(text[at]!) : undefined;
    }
  }
}
