// BodyPieces: a request's body as it comes, within its bound. Owns the pieces, and when a body is too large to be heard to its
// end. Used by listener.ts and node-exchange.ts.

// A body over its bound is read and dropped up to this multiple of it, so that its sender gets to the answer;
// beyond, the connection is closed under it.
const DRAIN_FACTOR = 4;

export class BodyPieces {
  readonly #sizeMax: number; // bytes
  readonly #onBody: (body: Uint8Array | null) => void;
  readonly #onFlood: () => void;
  readonly #pieces: Uint8Array[] = [];
  #size = 0;
  #told = false;

  /** `onBody`: once, null for a body over its bound; `onFlood` before it where the rest will not be read. */
  constructor(sizeMax: number, onBody: (body: Uint8Array | null) => void, onFlood: () => void) {
    this.#sizeMax = sizeMax;
    this.#onBody = onBody;
    this.#onFlood = onFlood;
  }

  /** Whether a body that says its length is not even to be dropped piece by piece. */
  isFlood(contentLength: string): boolean {
    return Number(contentLength) > this.#sizeMax * DRAIN_FACTOR;
  }

  /** The rest is not read. */
  refuse(): void {
    if (this.#told) return;
    this.#onFlood();
    this.#tell(null);
  }

  /** `copy`: of the piece's bytes, where it is kept. */
  push(size: number, copy: () => Uint8Array): void {
    if (this.#told) return;
    this.#size += size;
    if (this.#size > this.#sizeMax * DRAIN_FACTOR) this.refuse();
    else if (this.#size > this.#sizeMax) this.#pieces.length = 0;
    else if (size > 0) this.#pieces.push(copy());
  }

  end(): void {
    if (this.#told) return;
    const [first, ...more] = this.#pieces;
    const isWhole = this.#size <= this.#sizeMax;
    this.#tell(
      !isWhole ? null : first !== undefined && more.length === 0 ? first : Buffer.concat(this.#pieces),
    );
  }

  #tell(body: Uint8Array | null): void {
    this.#told = true;
    this.#onBody(body);
  }
}
