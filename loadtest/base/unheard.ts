// Flags that were given and that nothing asks in a run of this kind: each is said, with what it belongs to, so that nobody takes a
// result for what he did not measure. Pure. Which flags those are is each command's own.
import { flagName } from '../../server/base/flag-name.ts';

/** Flags that count only where `heard`. */
export interface HearingRule {
  readonly flags: readonly string[]; // as commander names them
  readonly heard: boolean;
  readonly of: string;
}

/** One line for each, in the order of the rules. */
export function unheardLines(
  rules: readonly HearingRule[],
  isGiven: (name: string) => boolean,
): readonly string[] {
  return rules
    .filter(({ heard }) => !heard)
    .flatMap(({ flags, of }) =>
      flags.filter(isGiven).map((name) => `--${flagName(name)} counts for nothing here: it is of ${of}\n`),
    );
}
