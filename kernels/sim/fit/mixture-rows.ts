// TensorRT-LLM 1.2, maximum load: mixtures of experts, and NVFP4. Output tokens per second per GPU. Data only.
// Source: docs/source/developer-guide/perf-overview.md of NVIDIA/TensorRT-LLM (1.2), also published as
// nvidia.github.io/TensorRT-LLM/1.2.0/developer-guide/perf-overview.html. gpt-oss is published in MXFP4 whatever its column
// says; on Hopper it keeps 16-bit KV ("Hopper: use auto"). Read by mixture-fit.ts (calibrated) and `validate` (all).
import { expert, type LoadRow, type LoadSetup, rowsOf, staged, tensor, withDisputes } from './load-row.ts';

// 1024/1024 says what 1000/1000 does, and is left out.
const lengths = [
  [1000, 1000],
  [1024, 8192],
  [1024, 32768],
  [8192, 1024],
  [32768, 1024],
] as const;

function rows(setup: LoadSetup, rates: readonly number[], fit: readonly number[]): LoadRow[] {
  return rowsOf(lengths, setup, rates, fit).map((row) =>
    isFarBelow(row) ? { ...row, status: 'disputed' } : row,
  );
}

// Four times the answer costs a machine of this page a factor of 2.3 to 3.0 (1024/8192 over 1024/32768, twelve pairs). Here
// the page has 1,157 and 679, a factor of 1.7: the shorter one is far below what the longer one says of the same GPUs.
function isFarBelow({ model, chip, isl, osl }: LoadRow): boolean {
  return model === 'llama-4-maverick' && chip === 'h200' && isl === 1024 && osl === 8192;
}

const none: readonly number[] = [];

export const MIXTURE_ROWS: readonly LoadRow[] = withDisputes([
  ...rows(tensor('gpt-oss-120b', 'h200', 1, 'mxfp4'), [6868, 3543, 0, 1828, 519], [0, 1, 3]),
  ...rows(expert('gpt-oss-120b', 'h100', 4, 'mxfp4'), [4685, 0, 1177, 1169, 333], [0]),
  ...rows(expert('gpt-oss-120b', 'b200', 2, 'mxfp4'), [25943, 17289, 6279, 6111, 1392], [0, 1, 3]),
  ...rows(tensor('gpt-oss-120b', 'gb200', 1, 'mxfp4'), [27198, 14800, 5556, 6835, 1645], none),
  ...rows(tensor('gpt-oss-20b', 'h200', 1, 'mxfp4'), [13858, 12743, 0, 4015, 915], none),
  ...rows(tensor('gpt-oss-20b', 'h100', 1, 'mxfp4'), [11557, 8617, 0, 3366, 785], [0, 1, 3]),
  ...rows(tensor('gpt-oss-20b', 'b200', 1, 'mxfp4'), [53812, 34702, 14589, 11904, 2645], [0, 1, 3]),
  ...rows(tensor('gpt-oss-20b', 'gb200', 1, 'mxfp4'), [55823, 38100, 16463, 12941, 2905], none),
  ...rows(expert('qwen3-235b-a22b', 'h200', 4, 'fp8'), [3288, 1417, 0, 627, 134], [0, 1, 3]),
  ...rows(expert('qwen3-235b-a22b', 'h100', 8, 'fp8'), [1932, 873, 0, 0, 0], none),
  ...rows(expert('qwen3-235b-a22b', 'b200', 4, 'nvfp4'), [5764, 3389, 1255, 1410, 319], [0, 1, 3]),
  ...rows(expert('qwen3-235b-a22b', 'gb200', 4, 'nvfp4'), [6172, 3423, 0, 1464, 333], none),
  ...rows(tensor('qwen3-30b-a3b', 'b200', 1, 'nvfp4'), [26971, 13497, 4494, 5735, 1265], [0, 1, 3]),
  ...rows(tensor('qwen3-30b-a3b', 'gb200', 1, 'nvfp4'), [22856, 14272, 4925, 6201, 1380], none),
  ...rows(expert('llama-4-maverick', 'h200', 8, 'fp8'), [4146, 1157, 679, 1276, 0], [0, 3]),
  ...rows(expert('llama-4-maverick', 'b200', 4, 'nvfp4'), [11337, 5174, 2204, 3279, 859], [0, 1, 3]),
  ...rows(expert('llama-4-maverick', 'gb200', 4, 'nvfp4'), [11828, 5508, 2300, 3444, 963], none),
  ...rows(expert('deepseek-r1', 'h200', 8, 'fp8'), [1627, 1218, 438, 0, 0], [0, 1]),
  ...rows(expert('deepseek-r1', 'b200', 4, 'nvfp4'), [6463, 3862, 1451, 1168, 0], [0, 1, 3]),
  ...rows(expert('deepseek-r1', 'gb200', 4, 'nvfp4'), [6939, 4379, 1465, 1192, 0], none),
  // Joined by PCIe.
  ...rows(tensor('qwen3-30b-a3b', 'rtx6000pro', 1, 'nvfp4'), [9938, 3621, 0, 1914, 374], none),
  ...rows(expert('qwen3-30b-a3b', 'rtx6000pro', 2, 'nvfp4'), [8409, 3577, 0, 0, 0], none),
  ...rows(staged(expert('qwen3-30b-a3b', 'rtx6000pro', 4, 'nvfp4'), 2), [7059, 0, 0, 1416, 0], none),
  ...rows(expert('qwen3-30b-a3b', 'rtx6000pro', 8, 'nvfp4'), [3985, 2406, 0, 0, 180], none),
  ...rows(staged(expert('qwen3-235b-a22b', 'rtx6000pro', 4, 'nvfp4'), 2), [1731, 644, 0, 0, 70], none),
  ...rows(expert('qwen3-235b-a22b', 'rtx6000pro', 8, 'nvfp4'), [969, 711, 0, 0, 0], none),
]);

/** Dense models: the same page. */
export const DENSE_2026_ROWS: readonly LoadRow[] = withDisputes([
  ...rows(tensor('llama-3.3-70b', 'b200', 1, 'nvfp4'), [6920, 3242, 0, 1362, 274], [0, 1, 3]),
  ...rows(tensor('llama-3.3-70b', 'gb200', 1, 'nvfp4'), [7769, 3805, 0, 1491, 302], none),
  ...rows(tensor('llama-3.3-70b', 'h200', 2, 'fp8'), [2587, 2009, 0, 537, 120], none),
  ...rows(tensor('llama-3.3-70b', 'h100', 2, 'fp8'), [2209, 0, 0, 398, 0], none),
  ...rows(tensor('llama-3.3-70b', 'rtx6000pro', 1, 'nvfp4'), [1724, 0, 0, 296, 0], none),
  ...rows(staged(tensor('llama-3.3-70b', 'rtx6000pro', 2, 'nvfp4'), 2), [1901, 0, 0, 327, 67], none),
]);
