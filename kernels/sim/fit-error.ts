// The refusal of a simulated device: the model does not fit, with the numbers that say so.

export class DoesNotFitError extends Error {
  override readonly name = 'DoesNotFitError';
}
