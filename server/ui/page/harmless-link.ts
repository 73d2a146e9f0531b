// Which addresses of a model's answer may be followed. Pure. Used by markdown.tsx.

/** Only those with which a browser leaves the page or opens a letter: no script, no data, nothing of this origin. */
export function isHarmless(href: string): boolean {
  return /^(https?:\/\/|mailto:)/i.test(href.trim());
}
