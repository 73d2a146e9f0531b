// Tokens that a tokenizer knows and its model does not: added above the vocabulary that the weights have. Such a token is
// never drawn, and a text that spells it cannot be a prompt. Before it: the tokenizer; after it: the edges' refusals.

/** The first such token in words for a message, or null. Costs nothing where a model has none. */
export function strangerIn(
  tokens: ArrayLike<number>,
  model: {
    readonly tokenizer: { readonly vocabSize: number; tokenBytes(id: number): Uint8Array };
    readonly spec: { readonly vocabSize: number };
  },
): string | null {
  const { vocabSize } = model.spec;
  if (model.tokenizer.vocabSize <= vocabSize) return null;
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i]!;
    if (id < vocabSize) continue;
    const text = new TextDecoder().decode(model.tokenizer.tokenBytes(id));
    return `${JSON.stringify(text)}, token ${id}, which the model does not know (it has ${vocabSize})`;
  }
  return null;
}
