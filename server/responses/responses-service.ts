// ResponsesService: what the files of this folder share beyond what all dialects do. Types only. Before it: app.ts makes one.
import type { ChatService } from '../chat/chat-service.ts';
import type { ConversationStore } from './conversation-store.ts';
import type { Delegations } from './delegations.ts';
import type { Repeats } from './open-response.ts';
import type { SharedPast } from './shared-past.ts';
import type { ResponseStore } from './store.ts';

export interface ResponsesService extends ChatService {
  readonly store: ResponseStore;
  readonly conversations: ConversationStore;
  readonly delegations: Delegations;
  readonly shared: SharedPast | null; // with other nodes
  readonly repeats: Repeats | null; // where another node goes on with what this one has begun to say
  readonly socket: SocketBounds;
}

export interface SocketBounds {
  readonly ageMaxMs: number; // then a connection takes no new work
  readonly valuesMax: number; // of one frame's JSON
  readonly queuedSizeMax: number; // bytes of frames that wait for their lane
  readonly bufferSizeMax: number; // unread bytes at which answers wait
}
