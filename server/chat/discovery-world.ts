// What clients are told about the server beside the model. A type only. Before it: app.ts builds one.
import type { Seat } from '../engine/seats.ts';
import type { OpenAiWorld } from './world.ts';

export interface DiscoveryWorld extends OpenAiWorld {
  readonly about: {
    readonly version: string; // of the package
    readonly precision: string; // of the weights, where it was asked for, else 'unknown'
    readonly seatCount: number; // sequences that are computed at the same time
    readonly slotCount: number; // of one replica
    readonly seats: readonly Seat[]; // those that are taken
  };
}
