/** A model or device that nobody knows, or a config.json that is none. The message lists what is known. */
export class UnknownShapeError extends Error {
  override readonly name = 'UnknownShapeError';
}
