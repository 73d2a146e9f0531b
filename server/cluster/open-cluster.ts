// What nodes share, as the options ask for it: sessions, stored responses and conversations. Owns what nodes must have in common to
// share a session (model, its precision and template), and that owners are named by their keys. Before it: cli/local-server.ts;
// after it: session-directory.ts and shared-records.ts.
import { createHash } from 'node:crypto';
import type { Clock } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import { ownedKey } from '../base/owner.ts';
import { answersAsModel, type Config } from '../config/config.ts';
import { RedisCounts } from './count-store.ts';
import type { RecordBounds } from './record-store.ts';
import { RedisRecords } from './redis-records.ts';
import { RedisSessions } from './redis-sessions.ts';
import { SessionDirectory } from './session-directory.ts';
import { SharedCounts } from './shared-counts.ts';
import { SharedRecords } from './shared-records.ts';
import { RedisLink } from './store-link.ts';

export interface ClusterParts {
  readonly config: Config;
  readonly modelName: string;
  readonly kvIdentity: string; // model content and precision: equal nodes give equal answers
  readonly freshSeed: () => number;
  readonly freshId: () => string;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a node shares with others. */
export interface Shares {
  readonly sessions?: SessionDirectory;
  readonly repeats?: { readonly identity: string; freshSeed(): number }; // of answers that others may have to give again
  readonly responses: SharedRecords;
  readonly conversations: SharedRecords;
}

export interface Cluster extends Shares {
  readonly counts: SharedCounts;
  close(): void;
}

const RECORDS_PER_STORE = 8; // at least: one may take this part of its store

/** Null unless --cluster. A store that is not there yet is waited for meanwhile. */
export function openCluster(parts: ClusterParts): Cluster | null {
  const { config, modelName, kvIdentity, freshSeed, clock, log } = parts;
  const { cluster: url, apiKeys } = config;
  if (url === null) return null;
  tellInvariance(config, log);
  const link = new RedisLink({ url, log });
  const ownerIdOf = (owner: string) => digestOf(ownedKey(apiKeys, owner) ?? '');
  const holder = parts.freshId(); // of this process: what an earlier one of the same name had begun is not ours
  const recordsOf = (what: string, bounds: RecordBounds, useKeeps: boolean) =>
    new SharedRecords({
      ...{ what, link, clock, log, ownerIdOf, holder },
      store: new RedisRecords({ run: link.run, prefix: `sparklane:1:${what}:`, bounds, useKeeps }),
      sizeMax: bounds.sizeMax / RECORDS_PER_STORE,
    });
  const identity = digestOf(`${modelName}\n${kvIdentity}`);
  const sessions = new SessionDirectory({
    store: new RedisSessions(link.run, `sparklane:1:${identity}:session:`),
    ...{ link, clock, log, ownerIdOf, freshSeed, keepMs: config.sessionIdleTimeoutMs },
  });
  const responses = recordsOf('response', responseBounds(config), false);
  const conversations = recordsOf('conversation', conversationBounds(config), true);
  const counts = new SharedCounts({
    ...{ link, clock, log, ownerIdOf },
    store: new RedisCounts(link.run, { prefix: 'sparklane:1:count:', holder }),
  });
  return {
    ...{ counts, sessions, responses, conversations, repeats: { identity, freshSeed } },
    close: () => {
      for (const part of [counts, sessions, responses, conversations]) part.close();
      link.close();
    },
  };
}

/** What an answer that goes on at another node is drawn from was drawn token by token at its own: it may round otherwise there. */
function tellInvariance(config: Config, log: Log): void {
  const { invariance } = config;
  if (!answersAsModel(config)) return;
  if (invariance === 'full') log.info('answers go on at other nodes with the same tokens', { invariance });
  else log.warn('where an answer goes on at another node, a near tie may turn', { invariance, same: 'full' });
}

function responseBounds({
  responseTtlMs: keepMs,
  responseCountPerKeyMax: countPerOwnerMax,
  clusterStoreSizeMax: sizeMax,
}: Config): RecordBounds {
  return { keepMs, countPerOwnerMax, sizeMax };
}

function conversationBounds({
  conversationTtlMs: keepMs,
  conversationCountPerKeyMax: countPerOwnerMax,
  clusterStoreSizeMax: sizeMax,
}: Config): RecordBounds {
  return { keepMs, countPerOwnerMax, sizeMax };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
