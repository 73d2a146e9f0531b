// What a step contains, and what its time is made of: the words of roofline.ts and measured-steps.ts. Types only.

/** What a step contains. Contexts are summed over rows. */
export interface StepCounts {
  readonly rowCount: number;
  readonly tokenCount: number; // all rows
  readonly sampledCount: number; // positions whose logits are needed
  readonly contextRead: number; // Σ over rows of the KV tokens read
  readonly attentionPairs: number; // Σ over prefill tokens of the tokens each looks at; decode rows are bound by KV reads
  readonly prefillRows?: number; // rows of several tokens; default: 0
  readonly prefillTokens?: number; // their tokens; default: 0
}

export interface StepTerms {
  readonly weightsMs: number; // reading weights that every token meets
  readonly linearMs: number; // computing with them; only the larger of these two counts
  readonly activationsMs: number; // what products write and read through memory
  readonly expertWeightsMs: number; // reading the experts that some token meets
  readonly expertLinearMs: number; // computing with them; only the larger of these two counts
  readonly routingMs: number; // sorting tokens by expert, and back
  readonly kvMs: number;
  readonly attentionMs: number;
  readonly launchMs: number;
  readonly rowsMs: number;
  readonly linkMs: number; // all-reduces, or exchanges with experts
  readonly totalMs: number;
}
