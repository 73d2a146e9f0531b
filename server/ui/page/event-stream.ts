// Server-sent events of one answer, as the server writes them. Reads as fast as `onData` takes them; never keeps one.
// Before it: api.ts; after it: chat-stream.ts and live-feed.ts.
import { createParser } from 'eventsource-parser';

/** Resolves when the stream has ended; rejects when it breaks, or with what `onData` throws. */
export async function readEvents(
  response: Response,
  onData: (data: string, event: string | undefined) => void,
): Promise<void> {
  if (response.body === null) return;
  const parser = createParser({ onEvent: ({ data, event }) => onData(data, event) });
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    parser.feed(decoder.decode(value, { stream: true }));
  }
}
