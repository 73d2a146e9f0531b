// Fits the constants of the simulated devices to the calibration rows and writes sim/gpu/fitted.ts and sim/wafer/fitted.ts.
// Run after a change of a formula: `npx tsx kernels/sim/fit/main.ts`; `--check` only says whether they are current.
import { readFileSync, writeFileSync } from 'node:fs';
import { gpuFitted, mixtureFitted } from '../gpu/fitted.ts';
import { waferFitted } from '../wafer/fitted.ts';
import { fitGpu } from './gpu-fit.ts';
import { fitMixture } from './mixture-fit.ts';
import { fitWafer } from './wafer-fit.ts';

const digits = 4;
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
update(new URL('../gpu/fitted.ts', import.meta.url), gpuFitted, { ...fitGpu() });
update(new URL('../gpu/fitted.ts', import.meta.url), mixtureFitted, { ...fitMixture() });
if (check && stale) process.exitCode = 1;
