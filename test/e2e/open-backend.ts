// Process of cpu-fallback.test.ts: opens a backend over a tiny model, draws one token and prints what it was.
import { argv } from 'node:process';
import { OrtError } from '../../kernels/onnx/ort.ts';
import { buildTinyGraph, CpuRig } from '../cpu-rig.ts';

const [directory, runtime] = argv.slice(2) as [string, 'auto' | 'c-api'];
const warnings: string[] = [];
const log = { info: () => undefined, warn: (message: string) => void warnings.push(message) };
const { graph } = await buildTinyGraph(directory);
try {
  const rig = await CpuRig.open(graph, { runtime, log });
  const token = await rig.prefill({ slot: 0 }, [1, 2, 3]);
  console.log(JSON.stringify({ runtime: rig.backend.runtime, token, warnings }));
  await rig.backend.close();
} catch (error) {
  if (!(error instanceof OrtError)) throw error;
  console.log(JSON.stringify({ runtime: error.code, token: -1, warnings }));
}
