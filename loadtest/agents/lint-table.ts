// The linter's report as text for a terminal. Pure: a string out.
import { formatNumber, formatShare } from '../show/format.ts';
import type { LintReport } from './lint.ts';

const BREAKS_SHOWN = 20;

export interface PromptPrice {
  readonly perMillion: number | null; // what an uncached prompt token costs more than a cached one, × a million
  readonly prefillPerSecond: number | null; // prompt tokens that the server computes in a second
}

export function lintTable(report: LintReport, { perMillion, prefillPerSecond }: PromptPrice): string {
  const { sessions, requests, promptTokens, cacheableTokens, idealTokens, lostTokens, served, breaks } =
    report;
  const share = (part: number) => formatShare(promptTokens === 0 ? null : part / promptTokens);
  const costs = [
    ...(prefillPerSecond === null ? [] : [`${formatNumber(lostTokens / prefillPerSecond)} s of waiting`]),
    ...(perMillion === null ? [] : [`${formatNumber((lostTokens * perMillion) / 1e6)} of money`]),
  ];
  const lines = [
    `prompts    ${requests} in ${sessions} sessions, about ${formatNumber(promptTokens)} tokens`,
    `cacheable  ${share(cacheableTokens)} of them: the same as the prompt before, from its beginning`,
    `possible   ${share(idealTokens)}, were nothing rewritten`,
    `lost       ${formatNumber(lostTokens)} tokens computed again${costs.length === 0 ? '' : `: ${costs.join(', ')}`}, in ${breaks.length} breaks`,
  ];
  if (served !== null) {
    const served_ = formatShare(served.promptTokens === 0 ? null : served.cachedTokens / served.promptTokens);
    lines.push(`served     ${served_} of prompt tokens from the server’s cache, as it says`);
  }
  if (breaks.length > 0) lines.push('', 'where the prefix broke, the dearest first');
  for (const { session, turn, atTokens, lostTokens: lost, why } of breaks.slice(0, BREAKS_SHOWN)) {
    lines.push(
      `  ${session}, request ${turn}, after about ${formatNumber(atTokens)} tokens, ${formatNumber(lost)} lost: ${why}`,
    );
  }
  if (breaks.length > BREAKS_SHOWN) lines.push(`  and ${breaks.length - BREAKS_SHOWN} more (--json has all)`);
  return `${lines.join('\n')}\n`;
}
