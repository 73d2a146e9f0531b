// Python's operators on a template's values. Bounds what a product may become, as the sandbox of transformers does for
// ranges: a template is a stranger's text. Used by expressions.ts.
import { percentFormatted } from './formatting.ts';
import { JinjaError } from './jinja-error.ts';
import { float, isFloat, isList, Tuple, toNumber, typeName, Undefined, type Value } from './values.ts';

const repeatedMax = 1 << 20; // characters or items of a product

/** Throws JinjaError. */
export function operate(operator: string, left: Value, right: Value): Value {
  for (const operand of [left, right]) if (operand instanceof Undefined) throw new JinjaError(operand.reason);
  if (operator === '%' && typeof left === 'string') return percentFormatted(left, right);
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') return left + right;
    if (isList(left) && isList(right)) return [...left, ...right];
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
  }
  const [a, b] = [toNumber(left), toNumber(right)];
  if (operator === '*' && b !== null && a === null) return repeated(left, b);
  if (operator === '*' && a !== null && b === null) return repeated(right, a);
  if (a === null || b === null) {
    throw new JinjaError(
      `unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`,
    );
  }
  const number = arithmetic(operator, a, b);
  const isReal = operator === '/' || isFloat(left) || isFloat(right) || (operator === '**' && b < 0);
  return isReal ? float(number) : number;
}

function arithmetic(operator: string, a: number, b: number): number {
  if (['/', '//', '%'].includes(operator) && b === 0) throw new JinjaError('division by zero');
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '//':
      return Math.floor(a / b);
    case '%':
      return a - Math.floor(a / b) * b; // the sign of the divisor
    case '**':
      return a ** b;
    default:
      throw new JinjaError(`there is no operator ${operator}`);
  }
}

function repeated(value: Value, count: number): Value {
  const times = Math.max(0, Math.trunc(count));
  const length = typeof value === 'string' || isList(value) ? value.length : 0;
  if (length * times > repeatedMax) throw new JinjaError(`a product of ${times} is too long`);
  if (typeof value === 'string') return value.repeat(times);
  if (isList(value)) return new Array<readonly Value[]>(times).fill(value).flat();
  throw new JinjaError(`can't multiply sequence by non-int of type '${typeName(value)}'`);
}
