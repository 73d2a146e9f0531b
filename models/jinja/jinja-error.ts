// A template that is no template, or that fails while it is rendered. Used by everything in models/jinja/.

/** The message is the template author's where the template raised it itself. */
export class JinjaError extends Error {
  override readonly name = 'JinjaError';
}
