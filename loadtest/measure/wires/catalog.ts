// The targets by name: which protocol over which wire.
import type { Clock } from '../../../kernels/clock.ts';
import { FlagError } from '../../base/flag-error.ts';
import { chatProtocol } from './chat.ts';
import { completionsProtocol } from './completions.ts';
import type { ContentOptions } from './content.ts';
import { nativeTarget } from './native.ts';
import { responsesSseProtocol } from './responses-sse.ts';
import { responsesSocketTarget } from './responses-websocket.ts';
import { sseTarget } from './sse-target.ts';
import type { Target } from './target.ts';
import { undiciWire } from './undici-wire.ts';
import type { HttpWire, SocketWire } from './wire.ts';
import { wsWire } from './ws-wire.ts';

export const TARGET_KINDS = ['native', 'chat', 'completions', 'responses-sse', 'responses-ws'] as const;
export type TargetKind = (typeof TARGET_KINDS)[number];

export interface TargetOptions {
  readonly kind: TargetKind;
  readonly address: string; // for people and for real wires
  readonly apiKey: string | null;
  readonly model: string;
  readonly as: 'text' | 'tokens' | 'messages'; // how content travels where the protocol leaves a choice
  readonly temperature: number | null;
  readonly plain: boolean;
  readonly extraBody: Readonly<Record<string, unknown>>;
  readonly content: ContentOptions;
}

export interface Wires {
  readonly http: () => HttpWire;
  readonly socket: () => SocketWire;
}

export function realWires(address: string, connectionsMax: number): Wires {
  const origin = new URL(address).origin.replace(/^ws/, 'http');
  return { http: () => undiciWire({ origin, connectionsMax }), socket: () => wsWire(origin) };
}

/** Throws FlagError for a combination that the protocol has not got. */
export function openTarget(options: TargetOptions, wires: Wires, clock: Clock): Target {
  const { kind, address, apiKey, extraBody, as } = options;
  const headers: Record<string, string> = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  const sse = () => ({ wire: wires.http(), clock, address, headers, extraBody });
  switch (kind) {
    case 'native':
      return nativeTarget(options as TargetOptions, { wire: wires.socket(), clock, address, headers });
    case 'chat':
      return sseTarget(chatProtocol(options), sse());
    case 'completions':
      if (as === 'messages') throw new FlagError('content', as, 'text or tokens, for completions');
      return sseTarget(completionsProtocol({ ...options, as }), sse());
    case 'responses-sse':
      return sseTarget(responsesSseProtocol(options), sse());
    case 'responses-ws':
      return responsesSocketTarget(options, { wire: wires.socket(), clock, address, headers, extraBody });
  }
}

export function parseTargetKind(flag: string, text: string): TargetKind {
  const kind = TARGET_KINDS.find((known) => known === text);
  if (kind === undefined) throw new FlagError(flag, text, TARGET_KINDS.join(', '));
  return kind;
}
