// What ONNX Runtime, or loading it, refused; and the checks both ways of calling it share, because the native
// side would crash instead of answering. Owned by ort.ts and ort-binding.ts.
import type { BoundTensor } from './runtime.ts';

/** `code` is OrtErrorCode's name ('invalid-argument', 'no-such-file', …), or 'unavailable': no usable library here. */
export class OrtError extends Error {
  override readonly name = 'OrtError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A tensor without elements is refused: a batch of 0 rows kills ONNX Runtime's GroupQueryAttention (SIGFPE). */
export function assertBindable({ name, data, shape }: BoundTensor): void {
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (count === data.length && count > 0) return;
  throw new OrtError(
    'invalid-argument',
    `tensor ${name}: shape [${shape.join(', ')}] has ${count} elements, memory ${data.length}; equal and ≥ 1 needed`,
  );
}
