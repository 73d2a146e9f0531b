// How a model family writes a tool call. Hermes (Qwen, most others): JSON between tags, anywhere in the text.
// Llama 3: the answer is JSON from its first character on. Before it: the model's tokenizer; after it: call-parser.ts
// and call-grammar.ts, which must agree.

export interface ToolDialect {
  readonly name: 'hermes' | 'llama3';
  readonly open: string; // before the JSON of a call; '' if it begins the answer
  readonly close: string; // behind it
  readonly argumentsKey: 'arguments' | 'parameters';
}

export const hermes: ToolDialect = {
  name: 'hermes',
  open: '<tool_call>',
  close: '</tool_call>',
  argumentsKey: 'arguments',
};

export const llama3: ToolDialect = { name: 'llama3', open: '', close: '', argumentsKey: 'parameters' };

/** By the token that only Llama 3's tokenizers have. Models without a tool format of their own get Hermes's. */
export function dialectOf(tokenizer: { specialTokenId(text: string): number | null }): ToolDialect {
  return tokenizer.specialTokenId('<|python_tag|>') === null ? hermes : llama3;
}
