// From times of probes to what a step is made of. Two widths tell a layer's weights from its own time, two depths tell layers from the
// step, two contexts tell attention from the rest. Arithmetic only. Before it: measure.ts.
import { type ProbeSizes, probeLayerWeights } from './probe-model.ts';
import { keyOf, type TimesByStep } from './probe-run.ts';

/** The probes: shallow and deep of one narrow width, and a wide one. */
export interface ProbeTimes {
  readonly shallow: TimesByStep;
  readonly deep: TimesByStep;
  readonly wide: TimesByStep;
}

export interface ProbeSet {
  readonly shallow: ProbeSizes;
  readonly deep: ProbeSizes;
  readonly wide: ProbeSizes;
}

/** The tables of kernels/sim/gpu/measured-steps.ts that the times make. */
export interface SolvedTables {
  readonly weightPs: readonly number[];
  readonly layerUs: readonly number[];
  readonly stepUs: readonly number[];
  readonly rowUs: number;
  readonly decodePs: readonly number[];
  readonly promptPs: number;
}

export interface ProbeAxes {
  readonly tokens: readonly number[]; // of one row
  readonly rows: readonly number[]; // that decode; the last one is among `tokens`
  readonly nearTokens: number; // context
  readonly farTokens: number;
}

export function solve(probes: ProbeSet, times: ProbeTimes, axes: ProbeAxes): SolvedTables {
  const { tokens, rows, nearTokens, farTokens } = axes;
  const near = (list: TimesByStep, rowCount: number, tokenCount: number): number =>
    list.get(keyOf({ rowCount, tokenCount, contextTokens: nearTokens }))!;
  const far = (rowCount: number, tokenCount: number): number =>
    times.deep.get(keyOf({ rowCount, tokenCount, contextTokens: farTokens }))!;
  const layers = tokens.map((count) =>
    layerOf(probes, {
      shallow: near(times.shallow, 1, count),
      deep: near(times.deep, 1, count),
      wide: near(times.wide, 1, count),
    }),
  );
  const { deep } = probes;
  const macs = (pairs: number): number => deep.layerCount * 2 * deep.hiddenSize * pairs;
  const span = farTokens - nearTokens;
  const decodePs = rows.map((count) =>
    positive(((far(count, 1) - near(times.deep, count, 1)) * 1e9) / macs(count * span)),
  );
  const chunk = tokens.at(-1)!;
  const promptMs = far(1, chunk) - near(times.deep, 1, chunk);
  const most = rows.at(-1)!;
  // Rows and tokens of one row cost the same products: what rows cost more is theirs.
  const rowsMs = near(times.deep, most, 1) - near(times.deep, 1, most);
  return {
    weightPs: rising(layers.map(({ weightPs }) => weightPs)),
    layerUs: layers.map(({ layerUs }) => layerUs),
    stepUs: layers.map(({ stepUs }) => stepUs),
    rowUs: positive((rowsMs * 1e3) / Math.max(1, most - 1)),
    decodePs,
    promptPs: positive((promptMs * 1e9) / macs(chunk * span)),
  };
}

// One number of tokens. narrow = step + layers · (layer + weights · ps); the shallow one's step is small, and subtracted.
function layerOf(
  probes: ProbeSet,
  ms: { readonly shallow: number; readonly deep: number; readonly wide: number },
): { readonly weightPs: number; readonly layerUs: number; readonly stepUs: number } {
  const { shallow, deep, wide } = probes;
  const narrowMs = positive((ms.deep - ms.shallow) / (deep.layerCount - shallow.layerCount));
  const stepMs = positive(ms.shallow - shallow.layerCount * narrowMs);
  const wideMs = positive((ms.wide - stepMs) / wide.layerCount);
  const [narrowWeights, wideWeights] = [probeLayerWeights(deep), probeLayerWeights(wide)];
  const weightPs = positive(((wideMs - narrowMs) * 1e9) / (wideWeights - narrowWeights));
  // A layer has no less than no time of its own: then all of it is its weights'.
  const known = Math.min(weightPs, (narrowMs * 1e9) / narrowWeights);
  return {
    weightPs: known,
    layerUs: positive(narrowMs * 1e3 - (known * narrowWeights) / 1e6),
    stepUs: stepMs * 1e3,
  };
}

const positive = (value: number): number => Math.max(0, value);

// More tokens never take less: what noise says otherwise is levelled.
function rising(values: readonly number[]): number[] {
  let most = 0;
  return values.map((value) => {
    most = Math.max(most, value);
    return most;
  });
}
