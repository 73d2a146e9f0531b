// RequestRules: what a request brings along to say how its answer goes on: which tokens may come next, and with which it ends. Code
// that knows texts and grammars, run in the middle of a step that others share: when it throws, its own sequence fails and nobody
// else's. Before it: request.ts; used by sequence.ts and step-row.ts.
import { maskAllows } from '../../kernels/backend.ts';
import type { SequenceRequest, TokenConstraint } from './request.ts';

type Mask = Uint32Array | null; // null allows all

export class RequestRules {
  failure: Error | null = null; // the first; nothing is asked after it
  readonly constrained: boolean;
  readonly #constraint: TokenConstraint | null;
  readonly #endsWith: ((token: number) => boolean) | null;

  constructor({ constraint, endsWith = null }: Pick<SequenceRequest, 'constraint' | 'endsWith'>) {
    this.#constraint = constraint;
    this.#endsWith = endsWith;
    this.constrained = constraint !== null;
  }

  /** What may be drawn next. */
  mask(): Mask {
    return this.#ask(null, () => this.#constraint?.mask() ?? null);
  }

  /** The masks before each of `tokens` up to the first that is not allowed, and after the last of them: ≥ 1. */
  masksAlong(tokens: Int32Array): Mask[] {
    return this.#ask([null], () => {
      const constraint = this.#constraint!.fork();
      const masks = [constraint.mask()];
      for (const token of tokens) {
        const mask = masks.at(-1)!;
        if (mask !== null && !maskAllows(mask, token)) break;
        constraint.accept(token);
        masks.push(constraint.mask());
      }
      return masks;
    });
  }

  /** Takes a drawn token; true: it is the answer's last one. */
  take(token: number): boolean {
    if (this.#constraint === null && this.#endsWith === null) return false; // most, for each token
    return this.#ask(true, () => {
      this.#constraint?.accept(token);
      return this.#endsWith?.(token) ?? false;
    });
  }

  #ask<T>(otherwise: T, ask: () => T): T {
    if (this.failure !== null) return otherwise;
    try {
      return ask();
    } catch (error) {
      this.failure = error instanceof Error ? error : new Error(String(error));
      return otherwise;
    }
  }
}
