// PromptSegments: the parts of a request's prompt in the order in which servers put them (tools, system, messages), whichever
// protocol it speaks: chat completions, Responses, Anthropic's Messages, completions. Pure.

export type SegmentKind = 'tools' | 'system' | 'user' | 'assistant' | 'tool';

export interface PromptSegment {
  readonly kind: SegmentKind;
  readonly text: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Null: the body asks for no answer to a prompt. */
export function segmentsOf(body: unknown): PromptSegment[] | null {
  if (typeof body !== 'object' || body === null) return null;
  const fields = body as Fields;
  const said = fields['messages'] ?? fields['input'] ?? fields['prompt'];
  if (said === undefined) return null;
  const segments: PromptSegment[] = [];
  const tools = fields['tools'] ?? fields['functions'];
  if (Array.isArray(tools) && tools.length > 0) segments.push({ kind: 'tools', text: JSON.stringify(tools) });
  for (const system of [fields['system'], fields['instructions']]) {
    if (system !== undefined && system !== null) segments.push({ kind: 'system', text: textOf(system) });
  }
  if (typeof said === 'string') segments.push({ kind: 'user', text: said });
  else if (Array.isArray(said)) {
    for (const item of said as readonly unknown[]) segments.push(segmentOf(item));
  }
  return segments;
}

function segmentOf(item: unknown): PromptSegment {
  if (typeof item !== 'object' || item === null) return { kind: 'user', text: String(item) };
  const { role, type, content, ...rest } = item as Fields;
  const text = textOf(content ?? '') + (Object.keys(rest).length === 0 ? '' : JSON.stringify(sorted(rest)));
  return { kind: kindOf(role, type, content), text };
}

function kindOf(role: unknown, type: unknown, content: unknown): SegmentKind {
  if (role === 'system' || role === 'developer') return 'system';
  if (role === 'assistant' || type === 'function_call' || type === 'reasoning') return 'assistant';
  if (role === 'tool' || role === 'function' || type === 'function_call_output') return 'tool';
  const parts = Array.isArray(content) ? (content as readonly Fields[]) : [];
  return parts.length > 0 && parts.every((part) => part?.['type'] === 'tool_result') ? 'tool' : 'user';
}

/** Text, or parts of which the text is taken and the rest as JSON without what marks it for caches. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return JSON.stringify(sorted(content));
  return content
    .map((part: unknown) => {
      if (typeof part !== 'object' || part === null) return String(part);
      const { cache_control: _, ...fields } = part as Fields;
      return typeof fields['text'] === 'string' ? fields['text'] : JSON.stringify(sorted(fields));
    })
    .join('\n');
}

/** Ids that clients make anew and servers do not show a model say nothing about its prompt. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value as Fields).filter(([name]) => !UNSEEN.has(name));
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, inner]) => [name, sorted(inner)]),
  );
}

const UNSEEN: ReadonlySet<string> = new Set([
  'id',
  'call_id',
  'tool_call_id',
  'tool_use_id',
  'status',
  'cache_control',
]);

/** What in a text is likely to differ the next time: names of kinds only. */
export function volatileParts(text: string): string[] {
  return VOLATILE.filter(([, pattern]) => pattern.test(text)).map(([name]) => name);
}

const VOLATILE: readonly (readonly [string, RegExp])[] = [
  ['a time of day', /\b\d{1,2}:\d{2}(:\d{2})?(\.\d+)?\b/],
  ['a date', /\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b/],
  ['a UUID', /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/i],
  ['a Unix time', /\b1[6-9]\d{8}(\d{3})?\b/],
  ['a commit', /\b[0-9a-f]{40}\b/],
];
