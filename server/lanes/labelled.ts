// How often a policy sends requests where a person would: a labelled list (policies/labelled-requests.tsv) held against it.
// Pure: text in, counts out.
import { decideRoute } from './decide.ts';
import { type Policy, PolicyError, vocabularyOf } from './policy.ts';
import { readSignals } from './signals.ts';

export interface LabelledResult {
  readonly language: string;
  readonly text: string;
  readonly wanted: string; // lane
  readonly decided: string; // lane
  readonly rule: string;
  readonly heldOut: boolean; // not looked at when the words were chosen
}

/** Lines of language, lane (s: first of the order, r: last), text; # begins a comment. Throws PolicyError naming the line. */
export function decideLabelled(policy: Policy, tsv: string): LabelledResult[] {
  const vocabulary = vocabularyOf(policy);
  const lanes: Readonly<Record<string, string>> = { s: policy.order[0]!, r: policy.order.at(-1)! };
  const results: LabelledResult[] = [];
  for (const [index, line] of tsv.split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const [language = '', label = '', text] = line.split('\t');
    const wanted = lanes[label];
    if (wanted === undefined || text === undefined) {
      throw new PolicyError(`line ${index + 1}: expected a language, s or r, and a text, separated by tabs`);
    }
    const conversation = {
      entries: [{ kind: 'user', text, name: '' } as const],
      ...{ toolsOffered: 0, outputTokensMax: null, background: false },
    };
    const { lane: decided, rule } = decideRoute(policy, readSignals(conversation, vocabulary));
    const heldOut = (results.length >> 1) % 2 === 1; // two of every four
    results.push({ language, text, wanted, decided, rule, heldOut });
  }
  return results;
}

/** Accuracy by whether held out and by language, and each miss. */
export function labelledTable(results: readonly LabelledResult[]): string {
  const isRight = ({ wanted, decided }: LabelledResult) => wanted === decided;
  const line = (name: string, some: readonly LabelledResult[]) => {
    const right = some.filter(isRight).length;
    return `${name.padEnd(12)} ${right} of ${some.length} right, ${((100 * right) / some.length).toFixed(1)} %`;
  };
  const languages = [...new Set(results.map(({ language }) => language))];
  const halves = [false, true].map((held) => results.filter(({ heldOut }) => heldOut === held));
  const groups: [string, readonly LabelledResult[]][] = [
    ['all', results],
    ['looked at', halves[0]!],
    ['held out', halves[1]!],
    ...languages.map((language): [string, LabelledResult[]] => [
      language,
      results.filter((result) => result.language === language),
    ]),
  ];
  const misses = results
    .filter((result) => !isRight(result))
    .map(({ wanted, decided, rule, text }) => `${wanted}, not ${decided} (${rule}): ${text}`);
  const lines = groups.filter(([, some]) => some.length > 0).map(([name, some]) => line(name, some));
  return `${[...lines, '', ...misses].join('\n')}\n`;
}
