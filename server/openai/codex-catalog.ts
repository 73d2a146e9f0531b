// The model catalogue that the Codex CLI reads (model_catalog_json, or GET /v1/models?client_version=…): what keeps it from
// guessing the context window, the prompt and the form of apply_patch. Pure. Used by openai/models.ts and cli/codex.ts.
export interface CatalogModel {
  readonly name: string;
  readonly contextTokens: number;
}

export interface CodexCatalog {
  readonly models: readonly Readonly<Record<string, unknown>>[];
}

// A tool's output takes at most this, or a quarter of a small context; Codex truncates the rest.
const OUTPUT_TOKENS_MAX = 10_000;

export function codexCatalog({ name, contextTokens }: CatalogModel): CodexCatalog {
  return {
    models: [
      {
        slug: name,
        display_name: name,
        description: 'served by Sparklane on this machine',
        supported_reasoning_levels: [],
        shell_type: 'unified_exec',
        visibility: 'list',
        supported_in_api: true,
        priority: 1,
        base_instructions: BASE_INSTRUCTIONS,
        support_verbosity: false,
        apply_patch_tool_type: 'freeform', // a custom tool with a Lark grammar, which this server enforces
        truncation_policy: {
          mode: 'tokens',
          limit: Math.min(OUTPUT_TOKENS_MAX, Math.floor(contextTokens / 4)),
        },
        supports_parallel_tool_calls: true,
        context_window: contextTokens,
        experimental_supported_tools: [],
      },
    ],
  };
}

// Short on purpose: a local model computes every token of it, and follows a few rules better than many.
const BASE_INSTRUCTIONS = [
  'You are Codex, a coding agent in the user’s terminal, working in their current directory.',
  'Look at the files before you change them. Run commands with the shell tool; change files with apply_patch.',
  'Make the smallest change that does what was asked, then check it by running the project’s tests if there are any.',
  'When you are done, say in a few sentences what you changed. Never claim what you have not done.',
].join('\n');
