// MessagesService: what the routes of Anthropic's API need beyond what all dialects do. A type only. Before it: app.ts makes one.
import type { ChatService } from '../chat/chat-service.ts';

export interface MessagesService extends ChatService {
  readonly blockSize: number; // tokens of a block of the prefix cache
}
