// The compaction item: a summary that stands for a part of a conversation. Owns how it is written, opaque to clients as
// OpenAI's is, and read again; it is encoded, not encrypted: whoever holds it was told all that it sums up. Pure.
// Before it: compact.ts writes one; after it: messages.ts shows it to the model.
import { z } from 'zod';
import type { Item } from './items.ts';

const sealed = z.object({ sparklane: z.literal(1), summary: z.string() });

export function compactionItem(summary: string, id: string): Item {
  const text = JSON.stringify({ sparklane: 1, summary });
  return { type: 'compaction', id, encrypted_content: Buffer.from(text).toString('base64url') };
}

/** Null: it is none of ours. */
export function compactedText(item: Item): string | null {
  try {
    const text = Buffer.from(String(item['encrypted_content']), 'base64url').toString();
    return sealed.parse(JSON.parse(text)).summary;
  } catch {
    return null;
  }
}
