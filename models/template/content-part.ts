// What a part of a message's content says to a model that reads text. Owns the spellings of all APIs, and the notes that
// stand for what such a model cannot take: refusing would end a conversation over a screenshot in its history, and the
// model may as well know what it misses. Pure. Before it: chat-template.ts and server/base/content.ts.

const notes: Readonly<Record<string, string>> = {
  image: '[an image that this model cannot see]',
  image_url: '[an image that this model cannot see]',
  input_image: '[an image that this model cannot see]',
  video_url: '[a video that this model cannot see]',
  audio_url: '[a recording that this model cannot hear]',
  input_audio: '[a recording that this model cannot hear]',
  file: '[a file that this model cannot read]',
  input_file: '[a file that this model cannot read]',
};

/** null: a part of no kind that is known. */
export function partText(part: unknown): string | null {
  if (typeof part === 'string') return part;
  if (typeof part !== 'object' || part === null) return null;
  const { type, text, refusal } = part as Readonly<Record<string, unknown>>;
  if (typeof text === 'string') return text;
  if (typeof refusal === 'string') return refusal;
  return typeof type === 'string' && Object.hasOwn(notes, type) ? notes[type]! : null;
}
