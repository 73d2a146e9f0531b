// What the files of this folder share beyond what all OpenAI routes share. Types only. Before it: app.ts builds one.
import type { OpenAiWorld } from '../chat/world.ts';
import type { Delegations } from './delegations.ts';
import type { ResponseStore } from './store.ts';

export interface ResponsesWorld extends OpenAiWorld {
  readonly store: ResponseStore;
  readonly delegations: Delegations;
  readonly socket: SocketBounds;
}

export interface SocketBounds {
  readonly ageMaxMs: number; // then a connection takes no new work
  readonly valuesMax: number; // of one frame's JSON
  readonly queuedSizeMax: number; // bytes of frames that wait for their lane
  readonly bufferSizeMax: number; // unread bytes at which answers wait
}
