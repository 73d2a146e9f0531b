// Why a prompt was computed as far as it was: what the cache said of it, and what has changed since the last turn of its
// conversation. Owns how that is told: in usage (with a few words of what changed), in one header, in a line of the log
// (never with text). Pure. Before it: chat/prompt-trail.ts and the engine; after it: the dialects.
import type { MissReason } from '../engine/prefix-cache.ts';

/** What the last turn of the same conversation says of this one's prompt. */
export interface LastTurn {
  readonly tokens: number; // its prompt
  readonly sharedTokens: number; // which both begin with
  readonly brokenBy: PrefixBreak | null; // null: this turn only goes on
}

export interface PrefixBreak {
  readonly part: string; // "messages[3]", "tools", "template"
  readonly how: 'changed' | 'inserted' | 'removed' | 'added' | 'reordered' | 'cut' | 'rendered otherwise';
  readonly was: string; // a few words from where they part
  readonly now: string;
}

export interface PrefixFacts {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly missReason?: MissReason | null; // null, absent: nobody knows
  readonly lastTurn?: LastTurn | null;
}

export interface PrefixReport {
  readonly cached_tokens: number;
  readonly computed_tokens: number;
  readonly reason?: MissReason; // why it was computed from there on
  readonly last_turn_tokens?: number;
  readonly shared_tokens?: number;
  readonly broken_by?: PrefixBreak;
}

/** `usage.sparklane.prefix`. */
export function prefixReport({
  promptTokens,
  cachedTokens,
  missReason,
  lastTurn,
}: PrefixFacts): PrefixReport {
  return {
    cached_tokens: cachedTokens,
    computed_tokens: promptTokens - cachedTokens,
    ...(missReason != null && { reason: missReason }),
    ...lastTurnReport(lastTurn),
  };
}

/** The part of it that is known before anything is computed. */
export function lastTurnReport(lastTurn: LastTurn | null | undefined): Partial<PrefixReport> {
  if (lastTurn == null) return {};
  const { tokens, sharedTokens, brokenBy } = lastTurn;
  return {
    last_turn_tokens: tokens,
    shared_tokens: sharedTokens,
    ...(brokenBy !== null && { broken_by: brokenBy }),
  };
}

export const PREFIX_HEADER = 'x-sparklane-prefix';

/** Without words of the prompt; null: there is nothing to say. */
export function prefixHeader(report: Partial<PrefixReport>): string | null {
  const { cached_tokens: cached, computed_tokens: computed, reason, broken_by: broken } = report;
  const { last_turn_tokens: last, shared_tokens: shared } = report;
  const parts = [
    cached === undefined ? null : `cached=${cached}`,
    computed === undefined ? null : `computed=${computed}`,
    reason === undefined ? null : `reason=${reason}`,
    last === undefined ? null : `last-turn=${last}`,
    shared === undefined ? null : `shared=${shared}`,
    broken === undefined ? null : `broken-by=${broken.part}; how="${broken.how}"`,
  ].filter((part) => part !== null);
  return parts.length === 0 ? null : parts.join('; ');
}

/** Fields of a log line. */
export function prefixLine({ missReason, lastTurn }: PrefixFacts): Readonly<Record<string, unknown>> {
  const broken = lastTurn?.brokenBy ?? null;
  return {
    ...(missReason != null && { prefix: missReason }),
    ...(lastTurn != null && { lastTurnTokens: lastTurn.tokens, sharedTokens: lastTurn.sharedTokens }),
    ...(broken !== null && { brokenBy: `${broken.part} ${broken.how}` }),
  };
}
