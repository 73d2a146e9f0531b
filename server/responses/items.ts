// Items: what a conversation of the Responses API consists of. Owns how a request's input becomes a list of items with
// ids, and what an item means to a person or the model; items of unknown types are kept and mean nothing. Pure.
// Before it: schema.ts; after it: messages.ts.

/** As its client wrote it. Only `type` is certain. */
export interface Item {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** An input text is a user's message; a message may come without its type; what is no object is left out. */
export function itemsOf(input: unknown, freshId: () => string): Item[] {
  if (typeof input === 'string') {
    return [withId(messageItem('user', input), 'message', freshId)];
  }
  if (!Array.isArray(input)) return [];
  const items: Item[] = [];
  for (const given of input as readonly unknown[]) {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) continue;
    const fields = given as Readonly<Record<string, unknown>>;
    const type = typeof fields['type'] === 'string' ? fields['type'] : 'message';
    items.push(withId(fields, type, freshId));
  }
  return items;
}

function messageItem(role: string, text: string): Item {
  return { type: 'message', role, content: [{ type: 'input_text', text }] };
}

/** As lists show it: content in parts with all their fields, and the status that a message, a call and an output have. */
export function listedItem(item: Item): Item {
  const { type, role, content } = item;
  const isKnown = type in ID_PREFIXES;
  const spoken = role === 'assistant' ? 'output_text' : 'input_text';
  const parts =
    type === 'message' && typeof content === 'string' ? [{ type: spoken, text: content }] : content;
  return {
    ...item,
    ...(type === 'message' && { role: role ?? 'user' }),
    ...(type === 'reasoning' && { summary: item['summary'] ?? [] }),
    ...(isKnown && { status: item['status'] ?? 'completed' }),
    ...(parts !== undefined && { content: Array.isArray(parts) ? parts.map(listedPart) : parts }),
  };
}

function listedPart(part: unknown): unknown {
  if (typeof part !== 'object' || part === null) return part;
  const { type } = part as { readonly type?: unknown };
  if (type === 'output_text') return { annotations: [], logprobs: [], ...part };
  return type === 'input_image' ? { detail: 'auto', ...part } : part;
}

const ID_PREFIXES: Readonly<Record<string, string>> = {
  message: 'msg',
  function_call: 'fc',
  function_call_output: 'fco',
  custom_tool_call: 'ctc',
  custom_tool_call_output: 'ctco',
  reasoning: 'rs',
  compaction: 'cmp',
};

function withId(fields: Readonly<Record<string, unknown>>, type: string, freshId: () => string): Item {
  if (typeof fields['id'] === 'string' && fields['id'] !== '') return { ...fields, type };
  return { id: `${ID_PREFIXES[type] ?? 'item'}_${freshId()}`, ...fields, type };
}
