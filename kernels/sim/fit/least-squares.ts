// Least squares for a handful of constants: Gauss-Newton with a numeric Jacobian over relative errors, so that a row
// of 1,351 weighs as much as one of 28,312. Exact in one step where the model is linear. Used by the fits only.

const stepShare = 1e-6; // of a parameter, for its derivative
const iterationsMax = 50;
const settledShare = 1e-10; // stop when no parameter moves by more

/** The parameters near `start` that make Σ error² smallest. `errors`: one per row, relative. Throws on a singular fit. */
export function leastSquares(
  start: readonly number[],
  errors: (parameters: readonly number[]) => number[],
): number[] {
  let parameters = [...start];
  for (let iteration = 0; iteration < iterationsMax; iteration++) {
    const before = errors(parameters);
    const columns = parameters.map((value, index) => {
      const step = Math.abs(value) * stepShare;
      const moved = errors(parameters.map((other, at) => (at === index ? other + step : other)));
      return moved.map((error, row) => (error - before[row]!) / step);
    });
    const delta = solve(
      columns.map((a) => columns.map((b) => dot(a, b))),
      columns.map((a) => -dot(a, before)),
    );
    const next = parameters.map((value, index) => value + delta[index]!);
    const settled = next.every(
      (value, index) => Math.abs(value - parameters[index]!) <= settledShare * Math.abs(value),
    );
    parameters = next;
    if (settled) break;
  }
  return parameters;
}

/**
 * Parameters (all > 0) near `start`, inside `bounds`, where `cost` is small: each is multiplied and divided by a factor as
 * long as that helps, then by a smaller one. For costs that are not smooth; finds a valley, not surely the deepest.
 */
export function coordinateDescent(
  start: readonly number[],
  bounds: readonly (readonly [number, number])[],
  cost: (parameters: readonly number[]) => number,
): number[] {
  let parameters = [...start];
  let best = cost(parameters);
  for (let factor = factorMax; factor > factorMin; ) {
    let moved = false;
    for (const [index, [low, high]] of bounds.entries()) {
      for (const by of [factor, 1 / factor]) {
        const next = parameters.with(index, Math.min(high, Math.max(low, parameters[index]! * by)));
        const nextCost = cost(next);
        if (nextCost >= best - 1e-9) continue;
        [parameters, best, moved] = [next, nextCost, true];
      }
    }
    if (!moved) factor = 1 + (factor - 1) * 0.6;
  }
  return parameters;
}

const factorMax = 1.5;
const factorMin = 1.003;

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}

// Gaussian elimination with pivoting, on copies; rows are scaled first because parameters differ by orders of magnitude.
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const n = right.length;
  const scales = matrix.map((row, index) => 1 / Math.sqrt(row[index]!));
  const rows = matrix.map((row, i) => [
    ...row.map((value, j) => value * scales[i]! * scales[j]!),
    right[i]! * scales[i]!,
  ]);
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column + 1; row < n; row++) {
      if (Math.abs(rows[row]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = row;
    }
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const head = rows[column]!;
    if (!(Math.abs(head[column]!) > 1e-12)) throw new Error('the rows do not determine the constants');
    for (let row = column + 1; row < n; row++) {
      const factor = rows[row]![column]! / head[column]!;
      for (let at = column; at <= n; at++) rows[row]![at]! -= factor * head[at]!;
    }
  }
  const solution = new Array<number>(n).fill(0);
  for (let row = n - 1; row >= 0; row--) {
    let value = rows[row]![n]!;
    for (let at = row + 1; at < n; at++) value -= rows[row]![at]! * solution[at]!;
    solution[row] = value / rows[row]![row]!;
  }
  return solution.map((value, index) => value * scales[index]!);
}
