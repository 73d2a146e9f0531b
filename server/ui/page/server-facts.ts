// What the page has to know of its server before it can draw: the model, its limits, what it can do. Before it: whole-page.tsx; after
// it: GET /v1/models and /props.
import type { Api } from './api.ts';

export interface ServerFacts {
  readonly modelName: string;
  readonly models: readonly ServedName[]; // what a request may name
  readonly contextTokens: number;
  readonly canChat: boolean;
  readonly canFill: boolean; // in the middle
  readonly canCall: boolean; // tools
  readonly showsText: boolean; // of one's own sessions
  readonly blockSize: number; // tokens of a block of the prefix cache
}

export interface ServedName {
  readonly id: string;
  readonly context_length?: number;
  readonly capabilities?: readonly string[];
  readonly meta?: { readonly n_params?: number; readonly size?: number; readonly n_ctx_train?: number };
}

/** Rejects with ApiError. */
export async function readFacts(api: Pick<Api, 'json'>): Promise<ServerFacts> {
  const [{ data }, about] = await Promise.all([
    api.json<{ data: readonly ServedName[] }>('v1/models'),
    api.json<{ chat: boolean; block_size: number; shows_text: boolean }>('ui/about'),
  ]);
  const own = data[0]!;
  const can = own.capabilities ?? [];
  return {
    modelName: own.id,
    models: data,
    contextTokens: own.context_length ?? 0,
    canChat: about.chat,
    canFill: can.includes('insert'),
    canCall: can.includes('tools'),
    showsText: about.shows_text,
    blockSize: about.block_size,
  };
}
