// Which tokens an answer may be made of and which of them end it, in vLLM's words: `stop_token_ids`, `bad_words`,
// `allowed_token_ids`, `include_stop_str_in_output`, `skip_special_tokens`. Owns their types, bounds and meaning. Pure.
// Before it: fields.ts; after it: generation/generation.ts.
import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { GenerationRequest } from '../generation/generation.ts';
import { allowedTokens, narrowed } from '../grammar/narrowed.ts';
import { strayFault, tokenIds } from '../text/token-ids.ts';
import type { LocalModel } from './local-model.ts';

const STOP_TOKEN_COUNT_MAX = 1024;
const BAD_WORD_COUNT_MAX = 1024;
const BAD_WORDS_SIZE_MAX = 8192; // characters of all together: each costs an automaton 1 KB a byte

export const tokenRuleFields = {
  stop_token_ids: tokenIds({ empty: true }).nullish(),
  bad_words: z.array(z.string().min(1)).max(BAD_WORD_COUNT_MAX).nullish(),
  allowed_token_ids: tokenIds().nullish(),
  include_stop_str_in_output: z.boolean().nullish(),
  skip_special_tokens: z.boolean().nullish(), // default: true
  spaces_between_special_tokens: z.boolean().nullish(), // there are none, as with any fast tokenizer
};

type TokenRules = z.output<z.ZodObject<typeof tokenRuleFields>>;

type Ruled = Pick<GenerationRequest, 'narrowing' | 'stopTokenIds' | 'showsEnd' | 'showsSpecials'>;

/** What the rules ask of a generation by this model. */
export function tokenRules(
  rules: TokenRules,
  { model, forms }: Pick<LocalModel, 'model' | 'forms'>,
): Parsed<Ruled> {
  const { vocabSize } = model.spec;
  const stopTokenIds = rules.stop_token_ids ?? [];
  const allowed = rules.allowed_token_ids ?? null;
  const words = rules.bad_words ?? [];
  const refused =
    countFault(stopTokenIds.length) ??
    strayFault(stopTokenIds, 'stop_token_ids', model.spec) ??
    (allowed === null ? null : strayFault(allowed, 'allowed_token_ids', model.spec)) ??
    sizeFault(words);
  if (refused !== null) return { ok: false, fault: refused };
  const banned = words.length === 0 ? null : forms.compiler.banned(words);
  return {
    ok: true,
    value: {
      stopTokenIds,
      showsEnd: rules.include_stop_str_in_output ?? false,
      showsSpecials: rules.skip_special_tokens === false,
      narrowing:
        allowed === null && banned === null
          ? null
          : () =>
              narrowed([
                allowed === null ? null : allowedTokens(allowed, vocabSize),
                banned?.newConstraint() ?? null,
              ])!,
    },
  };
}

/** Tokens that end an answer and have no text there: no log-probabilities are shown of them. */
export function silentEnds(
  fields: TokenRules & { readonly ignore_eos?: boolean | null | undefined },
  { eosTokenIds }: { readonly eosTokenIds: readonly number[] },
): readonly number[] {
  const asked = fields.include_stop_str_in_output === true ? [] : (fields.stop_token_ids ?? []);
  return fields.ignore_eos === true ? asked : [...eosTokenIds, ...asked];
}

function countFault(count: number): Fault | null {
  if (count <= STOP_TOKEN_COUNT_MAX) return null;
  const message = `stop_token_ids: ${count} tokens, at most ${STOP_TOKEN_COUNT_MAX}`;
  return fault('invalid_request', message, { param: 'stop_token_ids' });
}

function sizeFault(words: readonly string[]): Fault | null {
  const size = words.reduce((sum, { length }) => sum + length, 0);
  if (size <= BAD_WORDS_SIZE_MAX) return null;
  const message = `bad_words: ${size} characters, at most ${BAD_WORDS_SIZE_MAX}`;
  return fault('invalid_request', message, { param: 'bad_words' });
}
