// Starts a thread from a file of ours. Owns the difference between source, which runs through tsx, and dist.
// Before it: nothing; after it: whoever has work that others must not wait for.
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/** `entry`: a file without its extension, beside `from`, which is the caller's import.meta.url. */
export function startThread(
  entry: string,
  { from, name, workerData }: { readonly from: string; readonly name: string; readonly workerData: unknown },
): Worker {
  const extension = extname(fileURLToPath(from));
  const url = new URL(`${entry}${extension}`, from);
  const options = { workerData, name, execArgv: [] };
  if (extension !== '.ts') return new Worker(url, options);
  const tsx = createRequire(import.meta.url).resolve('tsx/package.json'); // by address: the process may run elsewhere
  const api = pathToFileURL(join(dirname(tsx), 'dist/esm/api/index.mjs')).href;
  const first = `const load = (file) => import(file);
    load(${JSON.stringify(api)}).then(({ register }) => { register(); return load(${JSON.stringify(url.href)}); });`;
  return new Worker(first, { ...options, eval: true });
}
