// The targets by name: which protocol over which wire.
import type { Clock } from '../../../kernels/clock.ts';
import { FlagError } from '../../base/flag-error.ts';
import type { ServerAddress } from './address.ts';
import { chatProtocol } from './chat.ts';
import { completionsProtocol } from './completions.ts';
import type { Connection } from './connection.ts';
import type { ContentOptions } from './content.ts';
import { httpTarget } from './http-target.ts';
import { messagesProtocol } from './messages.ts';
import { nativeTarget } from './native.ts';
import { responsesSseProtocol } from './responses-sse.ts';
import { responsesSocketTarget } from './responses-websocket.ts';
import type { Target } from './target.ts';
import { undiciWire } from './undici-wire.ts';
import { embeddingsProtocol, type PlainRoute, plainRouteProtocol } from './whole-routes.ts';
import type { HttpWire, SocketWire } from './wire.ts';
import { wsWire } from './ws-wire.ts';

export const TARGET_KINDS = [
  ...(['native', 'chat', 'completions', 'messages'] as const),
  ...(['responses-sse', 'responses-ws', 'embeddings'] as const),
] as const;
export type TargetKind = (typeof TARGET_KINDS)[number] | PlainRoute;

export interface TargetOptions {
  readonly kind: TargetKind;
  readonly address: string; // for people
  readonly apiKey: string | null;
  readonly headers: Readonly<Record<string, string>>; // more of them, lower case; they win
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

export function realWires(address: ServerAddress, connection: Connection, connectionsMax: number): Wires {
  return {
    http: () => undiciWire({ address, connection, connectionsMax }),
    socket: () => wsWire(address, connection),
  };
}

/** Throws FlagError for a combination that the protocol has not got. */
export function openTarget(options: TargetOptions, wires: Wires, clock: Clock): Target {
  const { kind, address, apiKey, extraBody, as } = options;
  const headers = headersOf(options);
  const http = () => ({ wire: wires.http(), clock, address, headers, extraBody });
  switch (kind) {
    case 'native':
      return nativeTarget(options as TargetOptions, { wire: wires.socket(), clock, address, headers });
    case 'chat':
      return httpTarget(chatProtocol(options), http());
    case 'completions':
      if (as === 'messages') throw new FlagError('content', as, 'text or tokens, for completions');
      return httpTarget(completionsProtocol({ ...options, as }), http());
    case 'responses-sse':
      return httpTarget(responsesSseProtocol(options), http());
    case 'messages':
      return httpTarget(messagesProtocol(options, apiKey), http());
    case 'embeddings':
      return httpTarget(embeddingsProtocol(options), http());
    case 'responses-ws':
      return responsesSocketTarget(options, { wire: wires.socket(), clock, address, headers, extraBody });
    default:
      return httpTarget(plainRouteProtocol(kind, options), http());
  }
}

/** What every request carries. */
export function headersOf({
  apiKey,
  headers,
}: Pick<TargetOptions, 'apiKey' | 'headers'>): Record<string, string> {
  return { ...(apiKey !== null && { authorization: `Bearer ${apiKey}` }), ...headers };
}

export function parseTargetKind(flag: string, text: string): TargetKind {
  const kind = TARGET_KINDS.find((known) => known === text);
  if (kind === undefined) throw new FlagError(flag, text, TARGET_KINDS.join(', '));
  return kind;
}
