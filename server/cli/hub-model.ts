// Models of the hub on the command line: `sparklane pull`, `sparklane models`, and --model OWNER/NAME, which takes what
// is in the cache and fetches what is not. Owns what is said about it. Before it: program.ts and local-server.ts;
// after it: server/hub/.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import { architectureOf } from '../../models/gguf/gguf-architectures.ts';
import type { Config } from '../config/config.ts';
import { findCached } from '../hub/cached-model.ts';
import { HubError } from '../hub/hub-error.ts';
import { listCache } from '../hub/listed-cache.ts';
import { type PulledModel, pullModel } from '../hub/pull.ts';
import { systemDisk } from '../hub/pull-disk.ts';
import { type HubReference, parseReference, referenceText } from '../hub/reference.ts';
import { type HubSettings, hubSettings } from '../hub/settings.ts';
import { sizeText } from '../hub/size-text.ts';
import { undiciFetch } from '../hub/undici-fetch.ts';
import type { PageHub } from '../ui/pull-desk.ts';
import { transferBar } from './progress.ts';
import { type Host, UsageError } from './terminal.ts';

/** `sparklane pull NAME`: prints the path to serve. Rejects with HubError or UsageError. */
export async function pull(text: string, host: Host): Promise<void> {
  const { terminal, env } = host;
  const reference = parseReference(text);
  if (reference === null)
    throw new UsageError(`${text}: expected OWNER/NAME, such as Qwen/Qwen2.5-0.5B-Instruct`);
  const settings = hubSettings(env);
  const pulled = await fetchModel(reference, settings, host).catch((error: unknown) => {
    const cached = findCached(reference, settings.cacheDirectory);
    const isAway = error instanceof HubError && ['offline', 'unreachable'].includes(error.code);
    if (!isAway || cached === null) throw error;
    terminal.note(`${error.message}; what the cache has of it is whole\n`);
    return { ...cached, arrivedSize: 0 };
  });
  const how = pulled.arrivedSize === 0 ? 'was there already' : `${sizeText(pulled.arrivedSize)} fetched`;
  terminal.note(`${referenceText(reference)}: ${how}\n`);
  terminal.write(`${pulled.path}\n`);
}

/** `sparklane models`: one line for each model in the cache. */
export function models({ terminal, env }: Host): void {
  const { cacheDirectory } = hubSettings(env);
  const found = listCache(cacheDirectory);
  if (found.length === 0)
    terminal.note(`no models in ${cacheDirectory}; sparklane pull OWNER/NAME fetches one\n`);
  for (const { id, files, size, unfinishedSize } of found) {
    const unfinished = unfinishedSize === 0 ? '' : `, and ${sizeText(unfinishedSize)} of an unfinished pull`;
    terminal.write(`${id}\t${sizeText(size)}${unfinished}\t${files.join(', ')}\n`);
  }
}

/** The config with paths in place of the hub's names. Rejects with HubError. */
export async function withLocalModels(config: Config, host: Host): Promise<Config> {
  const model = await localPath(config.model, host);
  const draftModel = config.draftModel === null ? null : await localPath(config.draftModel, host);
  const presets = [];
  for (const { name, values } of config.presets)
    presets.push({ name, values: { ...values, model: await localPath(values.model, host) } });
  return Object.freeze({ ...config, model, draftModel, presets });
}

/** What is on disk stays as it is; so does what is no name of the hub's. */
async function localPath(text: string, host: Host): Promise<string> {
  if (existsSync(text)) return text;
  const reference = parseReference(text);
  if (reference === null) return text;
  const settings = hubSettings(host.env);
  const cached = findCached(reference, settings.cacheDirectory);
  if (cached !== null) return cached.path;
  const name = referenceText(reference);
  if (settings.offline) {
    throw new HubError(
      'offline',
      `${name} is neither a path here nor in ${settings.cacheDirectory}, and HF_HUB_OFFLINE is set`,
    );
  }
  host.terminal.note(
    `${name} is neither a path here nor in the cache: pulling it from ${settings.endpoint}\n`,
  );
  return (await fetchModel(reference, settings, host)).path;
}

async function fetchModel(reference: HubReference, settings: HubSettings, host: Host): Promise<PulledModel> {
  const { terminal } = host;
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  const stopListening = [terminal.onInterrupt(stop), terminal.onTerminate(stop)];
  const bar = transferBar(host, `pulling ${referenceText(reference)}`);
  try {
    return await fetchQuietly(reference, settings, host, {
      signal: stopping.signal,
      note: (text) => {
        bar.end();
        terminal.note(`${text}\n`);
      },
      onSize: (sizes) => bar.onProgress(sizes),
    });
  } finally {
    bar.end();
    for (const unlisten of stopListening) unlisten();
  }
}

/** What may be done with the hub from the page. */
export function hubOf(host: Host): PageHub {
  const settings = hubSettings(host.env);
  return {
    cached: () => listCache(settings.cacheDirectory),
    pull: async (text, { signal, onSize }) => {
      const reference = parseReference(text);
      if (reference === null) {
        throw new HubError('name', `${text}: expected OWNER/NAME, such as Qwen/Qwen2.5-0.5B-Instruct`);
      }
      const watch = { signal, note: () => {}, onSize };
      const { path } = await fetchQuietly(reference, settings, host, watch);
      return path;
    },
  };
}

interface FetchWatch {
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
  readonly onSize: (sizes: { doneSize: number; totalSize: number; arrivedSize: number }) => void; // bytes
}

async function fetchQuietly(
  reference: HubReference,
  settings: HubSettings,
  { clock, epochMs, env, self }: Host,
  { signal, note, onSize }: FetchWatch,
): Promise<PulledModel> {
  const connection = undiciFetch(env);
  let totalSize = 0;
  try {
    return await pullModel(reference, {
      ...{ settings, clock, epochMs, disk: systemDisk, fetch: connection.fetch, signal, note },
      self: { pid: self?.pid ?? 0, host: hostname(), token: randomBytes(8).toString('hex') },
      isAlive: self?.isAlive ?? (() => true),
      checkSettings: (directory) => checkServable(reference, () => readModelSpec(directory)),
      checkArchitecture: (architecture) =>
        checkServable(reference, () => {
          const metadata = new Map([['general.architecture', architecture]]);
          architectureOf({ path: reference.id, metadata });
        }),
      progress: {
        onPlan: (plan) => {
          totalSize = plan.totalSize;
          onSize({ doneSize: 0, totalSize, arrivedSize: 0 });
        },
        onSize: (doneSize, arrivedSize) => onSize({ doneSize, totalSize, arrivedSize }),
      },
    });
  } finally {
    await connection.close();
  }
}

/** Before its weights are fetched: gigabytes that cannot be served are of no use. */
function checkServable(reference: HubReference, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    const text = `${referenceText(reference)} cannot be served, so its weights are not fetched`;
    throw new HubError('choice', `${text}: ${(error as Error).message}`, { cause: error });
  }
}
