// Fits the constants of the simulated devices to the calibration rows and writes sim/gpu/fitted.ts and sim/wafer/fitted.ts.
// Run after a change of a formula: `npx tsx kernels/sim/fit/main.ts`; `--check` only says whether they are current.
import { readFileSync, writeFileSync } from 'node:fs';
import { gpuFitted, groqFitted, mixtureFitted, sn40lFitted } from '../gpu/fitted.ts';
import { waferFitted } from '../wafer/fitted.ts';
import { fitGpu } from './gpu-fit.ts';
import { fitMixture, leftOutRates } from './mixture-fit.ts';
import { fitGroq, fitSn40l } from './other-fit.ts';
import { fitWafer } from './wafer-fit.ts';

const digits = 4;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}

const check = process.argv.includes('--check');
let stale = false;

function update(
  file: URL,
  current: Readonly<Record<string, number>>,
  fitted: Readonly<Record<string, number>>,
): void {
  let text = readFileSync(file, 'utf8');
  for (const [name, value] of Object.entries(fitted)) {
    const rounded = String(Number(value.toPrecision(digits)));
    console.log(`${name} ${rounded}${Number(rounded) === current[name] ? '' : ` (was ${current[name]})`}`);
    if (Number(rounded) !== current[name]) stale = true;
    text = text.replace(new RegExp(`(\\n\\s*${name}: )[0-9.]+`), `$1${rounded}`);
  }
  if (!check) writeFileSync(file, text);
}

update(new URL('../wafer/fitted.ts', import.meta.url), waferFitted, { ...fitWafer() });
update(new URL('../gpu/fitted.ts', import.meta.url), groqFitted, fitGroq());
update(new URL('../gpu/fitted.ts', import.meta.url), sn40lFitted, fitSn40l());
const fitted = fitGpu();
update(new URL('../gpu/fitted.ts', import.meta.url), gpuFitted, fitted);
const mixture = fitMixture(fitted);
update(new URL('../gpu/fitted.ts', import.meta.url), mixtureFitted, mixture);

// Last, so that it is said of the constants that stand: what each kind's rows would be without them.
const leftOutFile = new URL('./left-out.ts', import.meta.url);
const errors = leftOutRates(fitted, mixture).map(({ row, rate }) =>
  Math.abs(rate / row.tokensPerSecondPerGpu - 1),
);
const rates = [`  median: ${(median(errors) * 100).toFixed(1)},\n`, `  rowCount: ${errors.length},\n`];
const before = readFileSync(leftOutFile, 'utf8');
const after = before.replace(/(= \{\n)[^}]*(\};)/, (_, head, tail) => `${head}${rates.join('')}${tail}`);
if (after !== before) stale = true;
if (!check) writeFileSync(leftOutFile, after);
if (check && stale) process.exitCode = 1;
