// The directory of sessions as the options ask for it. Owns what nodes must have in common to share one: model, its precision and
// template, and that owners are named by their keys. Before it: cli/local-server.ts; after it: session-directory.ts.
import { createHash } from 'node:crypto';
import type { Log } from '../base/log.ts';
import { ownedKey } from '../base/owner.ts';
import type { Config } from '../config/config.ts';
import { RedisSessions } from './redis-sessions.ts';
import { SessionDirectory } from './session-directory.ts';

export interface DirectoryWorld {
  readonly config: Pick<Config, 'cluster' | 'apiKeys' | 'sessionIdleTimeoutMs'>;
  readonly modelName: string;
  readonly kvIdentity: string; // model content and precision: equal nodes give equal answers
  readonly freshSeed: () => number;
  readonly log: Log;
}

/** Null unless --cluster. A store that is not there yet is waited for meanwhile. */
export function openDirectory(world: DirectoryWorld): SessionDirectory | null {
  const { config, modelName, kvIdentity, freshSeed, log } = world;
  const { cluster: url, apiKeys, sessionIdleTimeoutMs } = config;
  if (url === null) return null;
  const prefix = `sparklane:1:${digestOf(`${modelName}\n${kvIdentity}`)}:session:`;
  return new SessionDirectory({
    store: (events) => new RedisSessions({ ...events, url, prefix }),
    ownerIdOf: (owner) => digestOf(ownedKey(apiKeys, owner) ?? ''),
    keepMs: sessionIdleTimeoutMs,
    freshSeed,
    log,
  });
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
