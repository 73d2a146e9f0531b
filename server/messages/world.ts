// What the routes of Anthropic's API need beyond those of OpenAI's. A type only. Before it: app.ts makes one.
import type { OpenAiWorld } from '../chat/world.ts';

export interface MessagesWorld extends OpenAiWorld {
  readonly blockSize: number; // tokens of a block of the prefix cache
}
