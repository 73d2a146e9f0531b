// Services on chips that are neither GPUs nor wafers: output tokens per second of one user, and which of them the constants were
// fitted to. Data only. Read by other-fit.ts (calibrated) and `validate` (all).
//
// SambaNova's post of 10 September 2024 (sambanova.ai/blog/sn40l-chip-best-inference-solution) quotes Artificial Analysis: Groq in 8
// bits, SN40L in 16. Llama 2 and Mixtral on Groq: TechPowerUp, February 2024. Llama 3.3 70B: Artificial Analysis, as issue 21 has it;
// gpt-oss: console.groq.com/docs/models (120b, about 500), aipromptshub.co (20b, about 1,000), 2026. Speculation on Groq: Artificial
// Analysis, November 2024 (theaiobserver.com). SN40L's DeepSeek-R1 (198) is left out: 671 billion weights in 16 bits do not fit a rack,
// and in which format they were is not said.
import type { SimPrecision } from '../precision.ts';
import type { RowStatus } from './published.ts';

export interface OtherServiceRow {
  readonly chip: 'groqlpu' | 'sn40l';
  readonly model: string;
  readonly chipCount: number | null; // null: as many as hold it; only one number is published
  readonly precision: SimPrecision;
  readonly acceptance: number | null; // of drafts, assumed; null: no speculation
  readonly tokensPerSecond: number;
  readonly status: RowStatus;
  readonly note: string;
}

const row = (
  [chip, model, precision]: readonly ['groqlpu' | 'sn40l', string, SimPrecision],
  tokensPerSecond: number,
  status: RowStatus,
  note: string,
  more: { readonly chipCount?: number; readonly acceptance?: number } = {},
): OtherServiceRow => {
  const { chipCount = null, acceptance = null } = more;
  return { chip, model, chipCount, precision, acceptance, tokensPerSecond, status, note };
};

const guessed = 0.8; // the chance that the wafers' rows with speculation were given

export const OTHER_SERVICE_ROWS: readonly OtherServiceRow[] = [
  row(['groqlpu', 'llama-3.1-8b', 'fp8'], 751, 'calibrated', 'September 2024'),
  row(['groqlpu', 'llama-3.1-70b', 'fp8'], 250, 'validated', 'September 2024'),
  row(['groqlpu', 'llama-3.3-70b', 'fp8'], 276, 'validated', 'December 2024'),
  row(['groqlpu', 'llama-2-70b', 'fp8'], 300, 'validated', '576 chips', { chipCount: 576 }),
  row(['groqlpu', 'llama-2-7b', 'fp8'], 750, 'validated', 'February 2024'),
  row(['groqlpu', 'gpt-oss-120b', 'mxfp4'], 500, 'calibrated', '2026'),
  row(['groqlpu', 'gpt-oss-20b', 'mxfp4'], 1000, 'validated', '2026'),
  row(['groqlpu', 'mixtral-8x7b', 'fp8'], 480, 'validated', 'February 2024'),
  row(['groqlpu', 'llama-3.1-70b', 'fp8'], 1665, 'extrapolated', 'speculation', { acceptance: guessed }),
  row(['sn40l', 'llama-3.1-8b', 'bf16'], 1042, 'calibrated', 'September 2024'),
  row(['sn40l', 'llama-3.1-70b', 'bf16'], 457, 'extrapolated', 'speculation assumed', {
    acceptance: guessed,
  }),
  row(['sn40l', 'llama-3.1-405b', 'bf16'], 129, 'extrapolated', 'speculation assumed', {
    acceptance: guessed,
  }),
];
