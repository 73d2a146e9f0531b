// DescribedService: with what clients are told about the server beside the model. A type only. Before it: app.ts makes one.
import type { Seat } from '../engine/seats.ts';
import type { ChatService } from './chat-service.ts';

export interface DescribedService extends ChatService {
  readonly about: {
    readonly version: string; // of the package
    readonly precision: string; // of the weights, where it was asked for, else 'unknown'
    readonly device: string; // what computes, for people: its name, and its adapter's where it has one
    readonly seatCount: number; // sequences that are computed at the same time
    readonly slotCount: number; // of one replica
    readonly seats: readonly Seat[]; // those that are taken
  };
}
