// The policy in force: looked at again, at most once a second and only while requests come, when its file has changed. A
// file that does not check leaves the old policy in force and says why in the log. Owns that file's watch; decides nothing.
// Before it: open-lanes.ts; after it: router.ts.
import type { Clock } from '../../kernels/clock.ts';
import { parsedJson } from '../base/json-text.ts';
import type { Log } from '../base/log.ts';
import { type Policy, PolicyError, parsePolicy, vocabularyOf } from './policy.ts';
import type { Vocabulary } from './signals.ts';

export interface PolicyFile {
  /** Changes when the file does; a few microseconds. */
  stamp(): string;
  read(): string;
}

export interface PolicyInForce {
  readonly policy: Policy;
  readonly vocabulary: Vocabulary;
}

const LOOK_MS = 1000;

export class PolicySource {
  readonly #file: PolicyFile;
  readonly #lanes: readonly string[];
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onRead: (used: boolean) => void;
  #stamp: string;
  #lookedMs: number;
  #current: PolicyInForce;

  /** Throws PolicyError, or what reading the file throws. `lanes`: those that the policy may name. */
  constructor(host: {
    readonly file: PolicyFile;
    readonly lanes: readonly string[];
    readonly clock: Clock;
    readonly log: Log;
    readonly onRead: (used: boolean) => void; // whenever a changed file was looked into
  }) {
    this.#file = host.file;
    this.#lanes = host.lanes;
    this.#clock = host.clock;
    this.#log = host.log;
    this.#onRead = host.onRead;
    this.#stamp = host.file.stamp();
    this.#lookedMs = host.clock.nowMs();
    this.#current = this.#load();
  }

  current(): PolicyInForce {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lookedMs >= LOOK_MS) {
      this.#lookedMs = nowMs;
      this.#look();
    }
    return this.#current;
  }

  #look(): void {
    try {
      const stamp = this.#file.stamp();
      if (stamp === this.#stamp) return;
      this.#stamp = stamp;
      this.#current = this.#load();
      this.#log.info('the routing policy was read again', { policy: this.#current.policy.name });
      this.#onRead(true);
    } catch (err) {
      const { message } = err as Error; // names the place and what would be accepted
      this.#log.warn('the routing policy has changed but cannot be used; the old one stays', {
        fault: message,
      });
      this.#onRead(false);
    }
  }

  #load(): PolicyInForce {
    const value = parsedJson(this.#file.read(), (reason) => new PolicyError(`not JSON: ${reason}`));
    const policy = parsePolicy(value);
    const stranger = policy.order.find((lane) => !this.#lanes.includes(lane));
    if (stranger !== undefined) {
      throw new PolicyError(`order: there is no lane ${stranger}; there are ${this.#lanes.join(', ')}`);
    }
    return { policy, vocabulary: vocabularyOf(policy) };
  }
}
