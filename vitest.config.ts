import { defineConfig } from 'vitest/config';

// Files share a process, which reads our modules once and not again for each of them: a second of its core for a file that starts
// servers. Those that have one of their own end it or hold it for long, know what is loaded into it, or weigh it.
const alone = [
  ...['law/*.test.ts', 'faults/*.test.ts', 'unit/kernels/onnx/*.test.ts', 'property/kernels/onnx/*.test.ts'],
  ...['e2e/cpu-*.test.ts', 'e2e/webgpu.test.ts', 'e2e/package.test.ts', 'e2e/worker-contract.test.ts'],
];
const exclude = ['**/node_modules/**', 'clients/**']; // paths as seen from dir

export default defineConfig({
  test: {
    dir: 'test',
    globalSetup: 'test/run-folders.ts',
    // For two cores: a file that starts servers waits for them about as often as it computes.
    maxWorkers: 3,
    // A bound on what hangs, never a measure: on a machine that others use, too, everything takes ten times as long.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    projects: [
      { extends: true, test: { name: 'alone', include: alone, exclude, isolate: true } },
      { extends: true, test: { name: 'together', exclude: [...exclude, ...alone], isolate: false } },
    ],
  },
});
