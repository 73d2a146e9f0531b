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
 * `known` with the constants that `start` names (all > 0) moved to where Σ error⁴ is small: Levenberg's method over their logarithms,
 * inside `bounds`. Far errors count more than in a sum of squares: the worst row is a goal, too.
 */
export function fitLogarithms<Name extends string>(
  known: Readonly<Record<Name, number>>,
  start: Readonly<Partial<Record<Name, number>>>,
  errors: (constants: Readonly<Record<Name, number>>) => readonly number[],
  bounds: Partial<Record<Name, readonly [number, number]>> = {},
): Readonly<Record<Name, number>> {
  const names = Object.keys(start) as Name[];
  const named = (logs: readonly number[]): Readonly<Record<Name, number>> => ({
    ...known,
    ...Object.fromEntries(names.map((name, index) => [name, Math.exp(logs[index]!)])),
  });
  const inside = (log: number, index: number): number => {
    const [low, high] = bounds[names[index]!] ?? [0, Number.POSITIVE_INFINITY];
    return Math.min(Math.log(high), Math.max(Math.log(low), log));
  };
  const errorsAt = (logs: readonly number[]): number[] => errors(named(logs)).map(weighed);
  let logs = names.map((name) => Math.log(start[name]!));
  let found = errorsAt(logs);
  for (let damping = dampingFirst, step = 0; step < stepsMax; step++) {
    const slopes = logs.map((log, index) =>
      errorsAt(logs.with(index, log + logStep)).map((error, row) => (error - found[row]!) / logStep),
    );
    const better = descend(slopes, found, damping, (move) => {
      const next = logs.map((log, index) =>
        inside(log + Math.max(-moveMax, Math.min(moveMax, move[index]!)), index),
      );
      return { next, errors: errorsAt(next) };
    });
    if (better === null) break;
    const settled = dot(found, found) - dot(better.errors, better.errors) < settledCost * dot(found, found);
    [logs, found, damping] = [better.next, better.errors, better.damping / dampingFactor];
    if (settled) break;
  }
  return named(logs);
}

const [logStep, moveMax] = [1e-4, 0.7];
const [dampingFirst, dampingFactor, triesMax, stepsMax, settledCost] = [1e-2, 5, 8, 40, 1e-5];

// Its square is the fourth power of the error.
function weighed(error: number): number {
  return Math.sign(error) * error ** 2;
}

interface Descent {
  readonly next: number[];
  readonly errors: number[];
}

// The first step, more and more cautious, that lowers the cost.
function descend(
  slopes: readonly (readonly number[])[],
  errors: readonly number[],
  dampingAtFirst: number,
  tryMove: (move: readonly number[]) => Descent,
): (Descent & { readonly damping: number }) | null {
  const normal = slopes.map((a) => slopes.map((b) => dot(a, b)));
  const right = slopes.map((a) => -dot(a, errors));
  for (let tries = 0, damping = dampingAtFirst; tries < triesMax; tries++, damping *= dampingFactor) {
    const matrix = normal.map((row, i) =>
      row.map((value, j) => (i === j ? value * (1 + damping) + 1e-9 : value)),
    );
    const result = tryMove(solve(matrix, right));
    if (dot(result.errors, result.errors) < dot(errors, errors)) return { ...result, damping };
  }
  return null;
}

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
