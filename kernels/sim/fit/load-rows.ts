// TensorRT-LLM 1.0 and 0.17, maximum load: output tokens per second of all GPUs. Data only.
// Source: docs/source/performance/perf-overview.md of NVIDIA/TensorRT-LLM, commits 00f37686 (1.0) and 258c7540 (0.17). Mixtures on
// several GPUs of 1.0 ran with data-parallel attention ("enable_attention_dp" stands in the page's options; 1.2 has the same figures
// under that name), those of 0.17 under tensor parallelism. Left out: 70B in 8 bits on one H100 and in 16 on two A100, whose few
// gigabytes of KV depend on what the runtime takes, which is not published. Read by the fits (calibrated) and `validate` (all).
import { expert, type LoadRow, type LoadSetup, rowsOf, staged, tensor, withDisputes } from './load-row.ts';

const lengths10 = [
  ...([
    [128, 128],
    [128, 2048],
    [128, 4096],
    [500, 2000],
    [1000, 1000],
  ] as const),
  ...([
    [1000, 2000],
    [2048, 128],
    [2048, 2048],
    [5000, 500],
    [20_000, 2000],
  ] as const),
] as const;
const lengths17 = lengths10.filter(([isl, osl]) => isl !== 1000 || osl !== 2000);

// Indices of lengths that are fitted to: every other one of dense models, every third of mixtures.
const half = [0, 2, 4, 6, 8];
const third = [0, 3, 6, 9];
const none: readonly number[] = [];

function rows(
  lengths: readonly (readonly [number, number])[],
  setup: LoadSetup,
  totals: readonly number[],
  fit: readonly number[],
): LoadRow[] {
  const rates = totals.map((total) => total / setup.gpuCount);
  return rowsOf(lengths, setup, rates, fit);
}

const v10 = (setup: LoadSetup, totals: readonly number[], fit: readonly number[] = none): LoadRow[] =>
  rows(lengths10, setup, totals, fit);
const v17 = (setup: LoadSetup, totals: readonly number[], fit: readonly number[] = none): LoadRow[] =>
  rows(lengths17, setup, totals, fit);

export const LOAD_ROWS: readonly LoadRow[] = withDisputes([
  ...v10(
    tensor('llama-4-scout', 'b200', 1, 'nvfp4'),
    [25342, 14699, 8932, 11977, 10591, 9356, 3137, 7152, 2937, 1644],
    third,
  ),
  ...v10(
    tensor('llama-4-scout', 'gb200', 1, 'nvfp4'),
    [19954, 15238, 9556, 11795, 7738, 8581, 3295, 7464, 3107, 1767],
  ),
  ...v10(
    expert('llama-4-scout', 'h200', 4, 'fp8'),
    [30354, 34316, 21332, 24630, 21636, 18499, 3699, 14949, 4605, 2105],
    third,
  ),
  ...v10(
    expert('llama-4-scout', 'h100', 4, 'fp8'),
    [0, 15130, 8603, 12399, 12129, 9838, 3253, 7972, 3342, 0],
    third,
  ),
  ...v10(
    staged(expert('llama-4-scout', 'rtx6000pro', 4, 'nvfp4'), 2),
    [18644, 12321, 7643, 0, 9476, 8919, 2615, 6208, 2662, 0],
    third,
  ),
  ...v10(
    staged(expert('llama-4-scout', 'rtx6000pro', 8, 'nvfp4'), 2),
    [23454, 21035, 13421, 0, 15781, 16434, 2941, 10410, 0, 0],
    third,
  ),
  ...v10(
    tensor('llama-3.3-70b', 'b200', 1, 'nvfp4'),
    [11147, 9922, 6831, 7762, 7007, 6271, 1339, 4783, 1459, 665],
    half,
  ),
  ...v10(
    tensor('llama-3.3-70b', 'gb200', 1, 'nvfp4'),
    [12189, 11309, 7849, 9028, 7326, 6513, 1450, 5646, 1602, 755],
    half,
  ),
  ...v10(
    tensor('llama-3.3-70b', 'h200', 1, 'fp8'),
    [3803, 4336, 2872, 3666, 2909, 2994, 442, 2003, 0, 283],
    half,
  ),
  ...v10(
    tensor('llama-3.3-70b', 'h100', 2, 'fp8'),
    [6378, 6651, 4199, 5222, 4205, 4146, 762, 3082, 0, 437],
    half,
  ),
  ...v10(
    tensor('llama-3.3-70b', 'rtx6000pro', 1, 'nvfp4'),
    [3264, 2422, 1349, 1856, 1787, 1594, 393, 1074, 401, 142],
    half,
  ),
  ...v10(
    staged(tensor('llama-3.3-70b', 'rtx6000pro', 2, 'nvfp4'), 2),
    [6172, 4993, 2893, 4114, 3707, 2993, 813, 2336, 812, 319],
  ),
  ...v10(
    staged(tensor('llama-3.3-70b', 'rtx6000pro', 4, 'nvfp4'), 4),
    [9641, 7922, 4978, 6939, 5961, 5274, 1511, 3870, 1511, 630],
  ),
  ...v10(
    staged(tensor('llama-3.3-70b', 'rtx6000pro', 8, 'nvfp4'), 8),
    [11881, 9833, 7352, 9435, 8166, 6943, 2495, 6078, 2491, 1148],
    half,
  ),
  ...v10(
    expert('qwen3-235b-a22b', 'b200', 8, 'nvfp4'),
    [63362, 66057, 39496, 57117, 42391, 34105, 7329, 26854, 8190, 4453],
    third,
  ),
  ...v10(
    expert('qwen3-235b-a22b', 'h200', 8, 'fp8'),
    [30429, 42821, 26852, 28026, 23789, 22061, 3331, 16672, 3623, 1876],
    third,
  ),
  ...v10(
    expert('qwen3-235b-a22b', 'h100', 8, 'fp8'),
    [0, 19658, 12447, 18351, 14898, 15136, 0, 9924, 3225, 0],
    third,
  ),
  ...v10(
    staged(expert('qwen3-235b-a22b', 'rtx6000pro', 8, 'nvfp4'), 4),
    [18890, 12494, 7715, 11157, 10697, 10109, 3181, 6712, 3173, 0],
    third,
  ),
  ...v10(
    tensor('qwen3-30b-a3b', 'b200', 1, 'nvfp4'),
    [39827, 37844, 24953, 27817, 25828, 22051, 6251, 17554, 6142, 2944],
    third,
  ),
  ...v10(
    tensor('qwen3-30b-a3b', 'gb200', 1, 'nvfp4'),
    [24107, 31311, 26337, 20604, 17481, 17177, 6595, 14719, 5908, 3203],
  ),
  ...v10(
    tensor('qwen3-30b-a3b', 'rtx6000pro', 1, 'nvfp4'),
    [28011, 12540, 7491, 10695, 9910, 8378, 3257, 5908, 2530, 871],
    third,
  ),
  ...v10(
    expert('qwen3-30b-a3b', 'rtx6000pro', 2, 'nvfp4'),
    [32646, 22744, 15049, 17266, 16431, 13323, 3785, 10679, 3799, 1558],
    third,
  ),
  ...v10(
    expert('qwen3-30b-a3b', 'rtx6000pro', 4, 'nvfp4'),
    [36819, 35715, 28139, 26175, 24046, 25131, 4311, 18134, 5212, 2551],
    third,
  ),
  ...v10(
    expert('qwen3-30b-a3b', 'rtx6000pro', 8, 'nvfp4'),
    [39490, 52676, 33895, 44088, 31785, 28881, 4798, 22391, 5965, 0],
    third,
  ),
  ...v10(
    expert('llama-4-maverick', 'b200', 8, 'nvfp4'),
    [124323, 112676, 68170, 0, 79617, 63766, 18088, 52195, 0, 12678],
    third,
  ),
  ...v10(
    expert('llama-4-maverick', 'h200', 8, 'fp8'),
    [63994, 40572, 24616, 37835, 31782, 34734, 7307, 20957, 8456, 4106],
    third,
  ),
  ...v10(
    expert('llama-4-maverick', 'h100', 8, 'fp8'),
    [0, 10829, 6744, 10108, 9677, 9151, 0, 6916, 3457, 0],
    third,
  ),
  ...v10(
    staged(expert('llama-4-maverick', 'rtx6000pro', 8, 'nvfp4'), 2),
    [30583, 19146, 12165, 17870, 15954, 12456, 4463, 10727, 4613, 0],
    third,
  ),
  ...v10(
    tensor('llama-3.1-405b', 'b200', 4, 'nvfp4'),
    [6281, 8020, 6345, 6244, 5209, 4933, 749, 4212, 1048, 672],
    half,
  ),
  ...v10(
    tensor('llama-3.1-405b', 'gb200', 4, 'nvfp4'),
    [6740, 8151, 6608, 6540, 5389, 5135, 797, 4407, 1112, 739],
    half,
  ),
  ...v10(
    tensor('llama-3.1-405b', 'h200', 8, 'fp8'),
    [3814, 5348, 4741, 4724, 3330, 3722, 456, 2948, 650, 505],
    half,
  ),
  ...v10(
    tensor('llama-3.1-405b', 'h100', 8, 'fp8'),
    [3627, 4340, 3116, 3994, 2919, 2895, 453, 2296, 610, 345],
    half,
  ),
  ...v10(
    staged(tensor('llama-3.1-405b', 'rtx6000pro', 8, 'nvfp4'), 8),
    [4452, 2981, 0, 0, 2369, 1931, 579, 1442, 0, 0],
  ),
  ...v10(
    tensor('llama-3.1-8b', 'h200', 1, 'fp8'),
    [27911, 26221, 18027, 20770, 17744, 16828, 3538, 12194, 3902, 1804],
    half,
  ),
  ...v10(
    tensor('llama-3.1-8b', 'h100', 1, 'fp8'),
    [28312, 22714, 14325, 17660, 15220, 13899, 3450, 9305, 0, 1351],
    half,
  ),
]).concat(
  withDisputes([
    ...v17(
      tensor('llama-3.1-8b', 'h200', 1, 'fp8'),
      [29526, 25399, 17371, 21021, 17538, 3794, 11968, 3988, 1804],
      half,
    ),
    ...v17(
      tensor('llama-3.1-8b', 'h100', 1, 'fp8'),
      [28837, 21109, 13594, 16501, 15245, 3557, 9488, 3559, 1401],
      half,
    ),
    ...v17(tensor('llama-3.1-8b', 'l40s', 1, 'fp8'), [9105, 5366, 3026, 4274, 4055, 1067, 2225, 981, 328]),
    ...v17(tensor('llama-3.1-8b', 'a100', 1, 'fp16'), [6627, 5256, 3454, 4277, 3787, 800, 2424, 825, 330]),
    ...v17(
      tensor('llama-3.1-70b', 'h200', 1, 'fp8'),
      [4021, 4166, 2652, 3018, 2823, 466, 1914, 560, 280],
      half,
    ),
    ...v17(
      tensor('llama-3.1-70b', 'h200', 2, 'fp8'),
      [6823, 8290, 6527, 6848, 5165, 809, 4184, 1025, 641],
      half,
    ),
    ...v17(
      tensor('llama-3.1-70b', 'h100', 2, 'fp8'),
      [6645, 6170, 3897, 4973, 4391, 773, 2898, 920, 443],
      half,
    ),
    ...v17(
      tensor('llama-3.1-70b', 'h200', 4, 'fp8'),
      [11099, 14156, 10574, 12453, 8911, 1358, 7130, 1812, 1200],
      half,
    ),
    ...v17(
      tensor('llama-3.1-70b', 'h100', 4, 'fp8'),
      [11128, 11512, 7439, 9837, 7431, 1303, 5480, 1603, 920],
      half,
    ),
    ...v17(
      tensor('llama-3.1-70b', 'l40s', 4, 'fp8'),
      [1524, 1943, 1440, 1635, 1209, 178, 970, 250, 162],
      half,
    ),
    ...v17(tensor('llama-3.1-70b', 'a100', 4, 'fp16'), [2733, 2811, 1976, 2276, 1922, 325, 1394, 393, 212]),
    ...v17(
      tensor('llama-3.1-70b', 'h200', 8, 'fp8'),
      [15356, 21196, 16942, 17278, 13181, 1983, 11142, 2718, 1920],
      half,
    ),
    ...v17(
      tensor('llama-3.1-70b', 'h100', 8, 'fp8'),
      [14731, 17062, 14171, 14679, 11451, 1923, 8802, 2457, 1513],
      half,
    ),
    ...v17(tensor('llama-3.1-70b', 'l40s', 8, 'fp8'), [1464, 2303, 2018, 1972, 1334, 176, 1200, 260, 210]),
    ...v17(tensor('llama-3.1-70b', 'a100', 8, 'fp16'), [4718, 5242, 3725, 4445, 3320, 542, 2554, 696, 413]),
    ...v17(
      tensor('llama-3.1-405b', 'h200', 8, 'fp8'),
      [3874, 5938, 5168, 5084, 3400, 463, 2941, 669, 535],
      half,
    ),
    ...v17(
      tensor('mixtral-8x7b', 'h200', 1, 'fp8'),
      [17158, 15095, 9535, 12105, 10371, 2010, 6940, 2309, 1152],
      third,
    ),
    ...v17(
      tensor('mixtral-8x7b', 'h100', 1, 'fp8'),
      [15962, 8290, 4785, 6801, 6869, 1893, 3983, 1765, 674],
      third,
    ),
    ...v17(
      tensor('mixtral-8x7b', 'h200', 2, 'fp8'),
      [27825, 29584, 21565, 23411, 19151, 3383, 14007, 4224, 2299],
      third,
    ),
    ...v17(
      tensor('mixtral-8x7b', 'h100', 2, 'fp8'),
      [27451, 22830, 14237, 17036, 15771, 3334, 10686, 3646, 1757],
      third,
    ),
    ...v17(
      tensor('mixtral-8x7b', 'h200', 4, 'fp8'),
      [42552, 52292, 39514, 43819, 33581, 5468, 24981, 7085, 4237],
      third,
    ),
    ...v17(
      tensor('mixtral-8x7b', 'h100', 4, 'fp8'),
      [41068, 41165, 27912, 34489, 27785, 5235, 19432, 6402, 3304],
      third,
    ),
    ...v17(
      tensor('mixtral-8x7b', 'h200', 8, 'fp8'),
      [53213, 68608, 54828, 58706, 44705, 7554, 36194, 10272, 6836],
      third,
    ),
    ...v17(
      tensor('mixtral-8x7b', 'h100', 8, 'fp8'),
      [50850, 61608, 48280, 52584, 40632, 6988, 30983, 9210, 5602],
      third,
    ),
    ...v17(tensor('mixtral-8x7b', 'l40s', 8, 'fp8'), [6741, 10393, 8472, 8661, 5948, 812, 5137, 1154, 919]),
    ...v17(
      tensor('mixtral-8x7b', 'a100', 8, 'fp16'),
      [17044, 20278, 15283, 17184, 12851, 2166, 9810, 2761, 1593],
    ),
  ]),
);

/** What the engine runs in `validate`, so that more than the closed form is held against figures: 1.0 at 5000/500, none fitted. */
export const ENGINE_ROWS: readonly LoadRow[] = [
  ...rowsOf([[5000, 500]], tensor('llama-3.1-8b', 'h100', 1, 'fp8'), [3459], none),
  ...rowsOf([[5000, 500]], tensor('llama-3.3-70b', 'h200', 1, 'fp8'), [566], none),
  ...rowsOf([[5000, 500]], tensor('llama-3.3-70b', 'h100', 2, 'fp8'), [898 / 2], none),
];
