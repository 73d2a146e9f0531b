// The system_fingerprint of answers: whether two servers compute alike. Before it: model-service.ts; after it: server/device/device.ts.
import { createHash } from 'node:crypto';
import type { Backend } from '../../kernels/backend.ts';
import type { Config } from '../config/config.ts';
import { hasOwnKernels } from '../device/device.ts';

interface FingerprintParts {
  readonly version: string; // of the package
  readonly model: { readonly name: string };
  readonly backend: Pick<Backend, 'name'>;
  readonly config: Pick<Config, 'kernels' | 'precision' | 'kvPrecision'>;
}

/** Equal for servers that give equal answers to equal requests with equal seeds. */
export function fingerprintOf({ version, model, backend, config }: FingerprintParts): string {
  const parts = [version, model.name, backend.name, config.precision, config.kvPrecision];
  // They round otherwise than ONNX Runtime's, and what precision auto is depends on them.
  if (backend.name === 'cpu' && hasOwnKernels({ backend: 'cpu', kernels: config.kernels }))
    parts.push('own kernels');
  return `fp_${createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 12)}`;
}
