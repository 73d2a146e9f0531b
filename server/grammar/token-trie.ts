// A vocabulary's tokens as a trie of their bytes, laid out flat in depth-first order, so that a walk is one loop over
// arrays and a refused byte skips all tokens that begin so. Built once per model. After it: token-masks.ts.

/** What server/grammar knows of a tokenizer; models/tokenizer/tokenizer.ts is one. */
export interface TokenBytes {
  readonly vocabSize: number;
  tokenBytes(id: number): Uint8Array;
  isSpecial(id: number): boolean;
}

export interface TokenTrie {
  readonly nodeCount: number; // without the root
  readonly byte: Uint8Array; // [nodeCount]
  readonly depth: Uint16Array; // [nodeCount] bytes from the root, ≥ 1
  readonly parent: Int32Array; // [nodeCount] −1: the root
  readonly withByte: readonly Int32Array[]; // [256] nodes of that byte below depth 1, in order
  readonly end: Int32Array; // [nodeCount] first node behind this one's subtree
  readonly tokenStart: Int32Array; // [nodeCount + 1] tokens ending at node i: tokens[tokenStart[i] .. tokenStart[i + 1]]
  readonly tokens: Int32Array; // ids
  readonly depthMax: number; // bytes of the longest token
}

const tokenBytesMax = 1024; // no vocabulary comes near; longer ones are left out

/** Control tokens and tokens without bytes are in no text, so they are left out. About 0.3 s for 152k tokens. */
export function buildTokenTrie(tokenizer: TokenBytes): TokenTrie {
  const tokens: { id: number; bytes: Uint8Array }[] = [];
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const bytes = tokenizer.tokenBytes(id);
    if (bytes.length > 0 && bytes.length <= tokenBytesMax && !tokenizer.isSpecial(id))
      tokens.push({ id, bytes });
  }
  tokens.sort((a, b) => Buffer.compare(a.bytes, b.bytes) || a.id - b.id);
  const capacity = tokens.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const byte = new Uint8Array(capacity);
  const depth = new Uint16Array(capacity);
  const parent = new Int32Array(capacity);
  const end = new Int32Array(capacity);
  const tokenStart = new Int32Array(capacity + 1);
  let nodeCount = 0;
  let depthMax = 0;
  let before: Uint8Array = new Uint8Array(0);
  const open: number[] = []; // nodes from the root to the last one
  tokens.forEach(({ bytes }, index) => {
    const shared = sharedLength(before, bytes);
    for (const node of open.splice(shared)) end[node] = nodeCount;
    for (let i = shared; i < bytes.length; i++) {
      byte[nodeCount] = bytes[i]!;
      depth[nodeCount] = i + 1;
      parent[nodeCount] = open.at(-1) ?? -1;
      tokenStart[nodeCount] = index;
      open.push(nodeCount++);
    }
    // Tokens of equal bytes share a node.
    tokenStart[nodeCount] = index + 1;
    depthMax = Math.max(depthMax, bytes.length);
    before = bytes;
  });
  for (const node of open) end[node] = nodeCount;
  return {
    nodeCount,
    byte: byte.slice(0, nodeCount),
    depth: depth.slice(0, nodeCount),
    parent: parent.slice(0, nodeCount),
    withByte: groupByByte(byte, depth, nodeCount),
    end: end.slice(0, nodeCount),
    tokenStart: tokenStart.slice(0, nodeCount + 1),
    tokens: Int32Array.from(tokens, ({ id }) => id),
    depthMax,
  };
}

function groupByByte(byte: Uint8Array, depth: Uint16Array, nodeCount: number): Int32Array[] {
  const counts = new Int32Array(256);
  for (let node = 0; node < nodeCount; node++) if (depth[node]! > 1) counts[byte[node]!]!++;
  const groups = Array.from(counts, (count) => new Int32Array(count));
  for (let node = nodeCount - 1; node >= 0; node--) {
    if (depth[node]! > 1) groups[byte[node]!]![--counts[byte[node]!]!] = node;
  }
  return groups;
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
