// The refusals of a simulated device: the model does not fit, with the numbers that say so; or its weights cannot lie there.

export class DoesNotFitError extends Error {
  override readonly name = 'DoesNotFitError';
}

/** Weights cannot lie where they were asked to: the chip has no such place. */
export class WeightsPlaceError extends DoesNotFitError {}
