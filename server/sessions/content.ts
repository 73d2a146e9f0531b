// What is appended to a session. Types only. Before it: native/question.ts; after it: session.ts lays it into its transcript.
import type { ChatMessage } from '../../models/template/chat-template.ts';

/** What an append brings: exactly one of the three kinds. */
export type Content =
  | { readonly text: string; readonly suffix: string | null; readonly tokens: null; readonly messages: null }
  | {
      readonly text: null;
      readonly suffix: null;
      readonly tokens: readonly number[];
      readonly messages: null;
    }
  | {
      readonly text: null;
      readonly suffix: null;
      readonly tokens: null;
      readonly messages: readonly ChatMessage[];
    };
