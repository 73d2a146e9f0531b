// LocalPort: a store of tasks without a thread of its own, for virtual time.
import type { Clock } from '../kernels/clock.ts';
import {
  answerCall,
  type StoreAnswer,
  type StoreCall,
  type StorePort,
  type StoreValues,
} from '../server/outcomes/store-port.ts';
import type { TaskStore } from '../server/outcomes/task-store.ts';

export class LocalPort implements StorePort {
  readonly #store: TaskStore;
  readonly #clock: Pick<Clock, 'defer'>;

  constructor(store: TaskStore, clock: Pick<Clock, 'defer'>) {
    this.#store = store;
    this.#clock = clock;
  }

  call<C extends StoreCall>(call: C, done: (answer: StoreAnswer<StoreValues[C['kind']]>) => void): void {
    this.#clock.defer(() => done(answerCall(this.#store, call) as StoreAnswer<StoreValues[C['kind']]>));
  }

  close(done: () => void): void {
    this.#clock.defer(() => {
      this.#store.close();
      done();
    });
  }
}
