// How far one distribution over the vocabulary is from another, position by position, and what that comes to over a
// text. Pure arithmetic in double precision. Before it: main.ts.

/** One position: the reference's distribution against the candidate's. */
export interface Difference {
  readonly divergence: number; // Kullback–Leibler, reference ‖ candidate, nats
  readonly isSameTop: boolean; // the most likely token; the lower id of equals
  readonly loss: number; // −ln of the candidate's probability of the token that comes next, nats; 0 for none
  readonly referenceLoss: number;
}

export interface QualitySummary {
  readonly tokens: number;
  readonly perplexityRatio: number; // candidate's over the reference's
  readonly divergenceMean: number; // nats
  readonly divergenceP99: number;
  readonly divergenceMax: number;
  readonly top1: number; // share of positions
}

/** `next`: the token that follows in the text, or null at its end. */
export function compareLogits(reference: Float32Array, own: Float32Array, next: number | null): Difference {
  const [p, q] = [logSumExp(reference), logSumExp(own)];
  let divergence = 0;
  for (let id = 0; id < reference.length; id++) {
    const logP = reference[id]! - p.value;
    divergence += Math.exp(logP) * (logP - (own[id]! - q.value));
  }
  return {
    divergence: Math.max(0, divergence), // rounding may leave −1e-16
    isSameTop: p.top === q.top,
    loss: next === null ? 0 : q.value - own[next]!,
    referenceLoss: next === null ? 0 : p.value - reference[next]!,
  };
}

export function summarise(differences: readonly Difference[]): QualitySummary {
  const count = differences.length;
  const sum = (of: (one: Difference) => number) => differences.reduce((total, one) => total + of(one), 0);
  const sorted = differences.map(({ divergence }) => divergence).toSorted((a, b) => a - b);
  return {
    tokens: count,
    perplexityRatio: Math.exp((sum(({ loss }) => loss) - sum((one) => one.referenceLoss)) / count),
    divergenceMean: sum(({ divergence }) => divergence) / count,
    divergenceP99: sorted[Math.floor(count * 0.99)]!,
    divergenceMax: sorted.at(-1)!,
    top1: sum(({ isSameTop }) => (isSameTop ? 1 : 0)) / count,
  };
}

function logSumExp(logits: Float32Array): { readonly value: number; readonly top: number } {
  let top = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[top]!) top = id;
  const max = logits[top]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - max);
  return { value: max + Math.log(sum), top };
}
