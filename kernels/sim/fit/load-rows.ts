// TensorRT-LLM 1.0 and 0.17, maximum load: output tokens per second of all GPUs. Data only.
// Source: docs/source/performance/perf-overview.md of NVIDIA/TensorRT-LLM, commits 00f37686 (1.0) and 258c7540 (0.17). Mixtures on
// several GPUs of 1.0 ran with data-parallel attention ("enable_attention_dp" stands in the page's options; 1.2 has the same figures
// under that name), those of 0.17 under tensor parallelism. Left out: 70B in 8 bits on one H100 and in 16 on two A100, whose few
// gigabytes of KV depend on what the runtime takes, which is not published. Read by the fits (calibrated) and `validate` (all).

import type { SimPrecision } from '../precision.ts';
import { expert, type LoadRow, rowsOf, staged, tensor, withDisputes } from './load-row.ts';

// Indices of lengths that are fitted to: every other one of dense models, every third of mixtures.
const fits = { half: [0, 2, 4, 6, 8], third: [0, 3, 6, 9], none: [] } as const;

// A column for each length of prompt (first line) and answer (second); - where no figure is published. `fit`: the columns that are
// fitted to.
const release10 = `
  model             chip        GPUs  stages  weights  sharding  fit       128     128    128    500   1000   1000   2048   2048  5000  20000
  -                 -              -       -  -        -         -         128    2048   4096   2000   1000   2000    128   2048   500   2000
  llama-4-scout     b200           1       1  nvfp4    tensor    third   25342   14699   8932  11977  10591   9356   3137   7152  2937   1644
  llama-4-scout     gb200          1       1  nvfp4    tensor    none    19954   15238   9556  11795   7738   8581   3295   7464  3107   1767
  llama-4-scout     h200           4       1  fp8      expert    third   30354   34316  21332  24630  21636  18499   3699  14949  4605   2105
  llama-4-scout     h100           4       1  fp8      expert    third       -   15130   8603  12399  12129   9838   3253   7972  3342      -
  llama-4-scout     rtx6000pro     4       2  nvfp4    expert    third   18644   12321   7643      -   9476   8919   2615   6208  2662      -
  llama-4-scout     rtx6000pro     8       2  nvfp4    expert    third   23454   21035  13421      -  15781  16434   2941  10410     -      -
  llama-3.3-70b     b200           1       1  nvfp4    tensor    half    11147    9922   6831   7762   7007   6271   1339   4783  1459    665
  llama-3.3-70b     gb200          1       1  nvfp4    tensor    half    12189   11309   7849   9028   7326   6513   1450   5646  1602    755
  llama-3.3-70b     h200           1       1  fp8      tensor    half     3803    4336   2872   3666   2909   2994    442   2003     -    283
  llama-3.3-70b     h100           2       1  fp8      tensor    half     6378    6651   4199   5222   4205   4146    762   3082     -    437
  llama-3.3-70b     rtx6000pro     1       1  nvfp4    tensor    half     3264    2422   1349   1856   1787   1594    393   1074   401    142
  llama-3.3-70b     rtx6000pro     2       2  nvfp4    tensor    none     6172    4993   2893   4114   3707   2993    813   2336   812    319
  llama-3.3-70b     rtx6000pro     4       4  nvfp4    tensor    none     9641    7922   4978   6939   5961   5274   1511   3870  1511    630
  llama-3.3-70b     rtx6000pro     8       8  nvfp4    tensor    half    11881    9833   7352   9435   8166   6943   2495   6078  2491   1148
  qwen3-235b-a22b   b200           8       1  nvfp4    expert    third   63362   66057  39496  57117  42391  34105   7329  26854  8190   4453
  qwen3-235b-a22b   h200           8       1  fp8      expert    third   30429   42821  26852  28026  23789  22061   3331  16672  3623   1876
  qwen3-235b-a22b   h100           8       1  fp8      expert    third       -   19658  12447  18351  14898  15136      -   9924  3225      -
  qwen3-235b-a22b   rtx6000pro     8       4  nvfp4    expert    third   18890   12494   7715  11157  10697  10109   3181   6712  3173      -
  qwen3-30b-a3b     b200           1       1  nvfp4    tensor    third   39827   37844  24953  27817  25828  22051   6251  17554  6142   2944
  qwen3-30b-a3b     gb200          1       1  nvfp4    tensor    none    24107   31311  26337  20604  17481  17177   6595  14719  5908   3203
  qwen3-30b-a3b     rtx6000pro     1       1  nvfp4    tensor    third   28011   12540   7491  10695   9910   8378   3257   5908  2530    871
  qwen3-30b-a3b     rtx6000pro     2       1  nvfp4    expert    third   32646   22744  15049  17266  16431  13323   3785  10679  3799   1558
  qwen3-30b-a3b     rtx6000pro     4       1  nvfp4    expert    third   36819   35715  28139  26175  24046  25131   4311  18134  5212   2551
  qwen3-30b-a3b     rtx6000pro     8       1  nvfp4    expert    third   39490   52676  33895  44088  31785  28881   4798  22391  5965      -
  llama-4-maverick  b200           8       1  nvfp4    expert    third  124323  112676  68170      -  79617  63766  18088  52195     -  12678
  llama-4-maverick  h200           8       1  fp8      expert    third   63994   40572  24616  37835  31782  34734   7307  20957  8456   4106
  llama-4-maverick  h100           8       1  fp8      expert    third       -   10829   6744  10108   9677   9151      -   6916  3457      -
  llama-4-maverick  rtx6000pro     8       2  nvfp4    expert    third   30583   19146  12165  17870  15954  12456   4463  10727  4613      -
  llama-3.1-405b    b200           4       1  nvfp4    tensor    half     6281    8020   6345   6244   5209   4933    749   4212  1048    672
  llama-3.1-405b    gb200          4       1  nvfp4    tensor    half     6740    8151   6608   6540   5389   5135    797   4407  1112    739
  llama-3.1-405b    h200           8       1  fp8      tensor    half     3814    5348   4741   4724   3330   3722    456   2948   650    505
  llama-3.1-405b    h100           8       1  fp8      tensor    half     3627    4340   3116   3994   2919   2895    453   2296   610    345
  llama-3.1-405b    rtx6000pro     8       8  nvfp4    tensor    none     4452    2981      -      -   2369   1931    579   1442     -      -
  llama-3.1-8b      h200           1       1  fp8      tensor    half    27911   26221  18027  20770  17744  16828   3538  12194  3902   1804
  llama-3.1-8b      h100           1       1  fp8      tensor    half    28312   22714  14325  17660  15220  13899   3450   9305     -   1351
`;
const release17 = `
  model           chip  GPUs  stages  weights  sharding  fit      128    128    128    500   1000  2048   2048   5000  20000
  -               -        -       -  -        -         -        128   2048   4096   2000   1000   128   2048    500   2000
  llama-3.1-8b    h200     1       1  fp8      tensor    half   29526  25399  17371  21021  17538  3794  11968   3988   1804
  llama-3.1-8b    h100     1       1  fp8      tensor    half   28837  21109  13594  16501  15245  3557   9488   3559   1401
  llama-3.1-8b    l40s     1       1  fp8      tensor    none    9105   5366   3026   4274   4055  1067   2225    981    328
  llama-3.1-8b    a100     1       1  fp16     tensor    none    6627   5256   3454   4277   3787   800   2424    825    330
  llama-3.1-70b   h200     1       1  fp8      tensor    half    4021   4166   2652   3018   2823   466   1914    560    280
  llama-3.1-70b   h200     2       1  fp8      tensor    half    6823   8290   6527   6848   5165   809   4184   1025    641
  llama-3.1-70b   h100     2       1  fp8      tensor    half    6645   6170   3897   4973   4391   773   2898    920    443
  llama-3.1-70b   h200     4       1  fp8      tensor    half   11099  14156  10574  12453   8911  1358   7130   1812   1200
  llama-3.1-70b   h100     4       1  fp8      tensor    half   11128  11512   7439   9837   7431  1303   5480   1603    920
  llama-3.1-70b   l40s     4       1  fp8      tensor    half    1524   1943   1440   1635   1209   178    970    250    162
  llama-3.1-70b   a100     4       1  fp16     tensor    none    2733   2811   1976   2276   1922   325   1394    393    212
  llama-3.1-70b   h200     8       1  fp8      tensor    half   15356  21196  16942  17278  13181  1983  11142   2718   1920
  llama-3.1-70b   h100     8       1  fp8      tensor    half   14731  17062  14171  14679  11451  1923   8802   2457   1513
  llama-3.1-70b   l40s     8       1  fp8      tensor    none    1464   2303   2018   1972   1334   176   1200    260    210
  llama-3.1-70b   a100     8       1  fp16     tensor    none    4718   5242   3725   4445   3320   542   2554    696    413
  llama-3.1-405b  h200     8       1  fp8      tensor    half    3874   5938   5168   5084   3400   463   2941    669    535
  mixtral-8x7b    h200     1       1  fp8      tensor    third  17158  15095   9535  12105  10371  2010   6940   2309   1152
  mixtral-8x7b    h100     1       1  fp8      tensor    third  15962   8290   4785   6801   6869  1893   3983   1765    674
  mixtral-8x7b    h200     2       1  fp8      tensor    third  27825  29584  21565  23411  19151  3383  14007   4224   2299
  mixtral-8x7b    h100     2       1  fp8      tensor    third  27451  22830  14237  17036  15771  3334  10686   3646   1757
  mixtral-8x7b    h200     4       1  fp8      tensor    third  42552  52292  39514  43819  33581  5468  24981   7085   4237
  mixtral-8x7b    h100     4       1  fp8      tensor    third  41068  41165  27912  34489  27785  5235  19432   6402   3304
  mixtral-8x7b    h200     8       1  fp8      tensor    third  53213  68608  54828  58706  44705  7554  36194  10272   6836
  mixtral-8x7b    h100     8       1  fp8      tensor    third  50850  61608  48280  52584  40632  6988  30983   9210   5602
  mixtral-8x7b    l40s     8       1  fp8      tensor    none    6741  10393   8472   8661   5948   812   5137   1154    919
  mixtral-8x7b    a100     8       1  fp16     tensor    none   17044  20278  15283  17184  12851  2166   9810   2761   1593
`;

function rowsIn(text: string): readonly LoadRow[] {
  const table = text.trim().split('\n');
  const [prompts, answers, ...lines] = table.map((line) => line.trim().split(/\s+/)) as [string[], string[]];
  const lengths = prompts.slice(7).map((isl, at) => [Number(isl), Number(answers[7 + at])] as const);
  const rows = lines.flatMap(([model, chip, gpus, stages, precision, sharding, fit, ...totals]: string[]) => {
    const gpuCount = Number(gpus);
    const make = sharding === 'expert' ? expert : tensor;
    const setup = staged(make(model!, chip!, gpuCount, precision as SimPrecision), Number(stages));
    const rates = totals.map((total) => (total === '-' ? 0 : Number(total) / gpuCount));
    return rowsOf(lengths, setup, rates, fits[fit as keyof typeof fits]);
  });
  return withDisputes(rows);
}

export const LOAD_ROWS: readonly LoadRow[] = [...rowsIn(release10), ...rowsIn(release17)];

/** What the engine runs in `validate`, so that more than the closed form is held against figures: 1.0 at 5000/500, none fitted. */
export const ENGINE_ROWS: readonly LoadRow[] = [
  ...rowsOf([[5000, 500]], tensor('llama-3.1-8b', 'h100', 1, 'fp8'), [3459], fits.none),
  ...rowsOf([[5000, 500]], tensor('llama-3.3-70b', 'h200', 1, 'fp8'), [566], fits.none),
  ...rowsOf([[5000, 500]], tensor('llama-3.3-70b', 'h100', 2, 'fp8'), [898 / 2], fits.none),
];
