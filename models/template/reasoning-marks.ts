// How a model sets its reasoning apart from its answer, and which of a template's variables turn it on and off. Owns the
// families' spellings; pure. Before it: chat-template.ts knows the template; after it: server/chat/reasoning.ts.

export interface ReasoningMarks {
  readonly open: string;
  readonly close: string;
}

/** Of Qwen3, DeepSeek, GLM, SmolLM3, Granite and most others. */
export const commonMarks: ReasoningMarks = { open: '<think>', close: '</think>' };

const families: readonly ReasoningMarks[] = [
  commonMarks,
  { open: '[THINK]', close: '[/THINK]' }, // Mistral
  { open: '<seed:think>', close: '</seed:think>' }, // Seed-OSS
  { open: '<reasoning>', close: '</reasoning>' },
];

/** By what the template writes, else by the tokens there are; null: this model has no such marks. */
export function reasoningMarksOf(template: string, addedTexts: readonly string[]): ReasoningMarks | null {
  return (
    families.find(({ close }) => template.includes(close)) ??
    families.find(({ open, close }) => addedTexts.includes(open) && addedTexts.includes(close)) ??
    null
  );
}

// Boolean variables that switch reasoning, by how many templates have them.
const switches = ['enable_thinking', 'thinking'] as const;

/** The variables of a template that say how much to reason; null: this one cannot be told not to. */
export function reasoningVariables(
  effort: string,
  template: { reads(name: string): boolean; readonly reasoning: ReasoningMarks | null },
): Readonly<Record<string, unknown>> | null {
  const off = effort === 'none';
  const variables: Record<string, unknown> = {};
  const found = switches.find((name) => template.reads(name));
  if (found !== undefined) variables[found] = !off;
  if (template.reads('reasoning_effort') && !off) variables['reasoning_effort'] = effort;
  // Levels are advice that a model without a switch may go without; "none" is not.
  return off && found === undefined && template.reasoning !== null ? null : variables;
}
