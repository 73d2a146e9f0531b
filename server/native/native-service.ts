// NativeService: what the native endpoint is made of. A type only. Before it: app.ts makes one; used by connection.ts and
// session-desk.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { ServerHello } from '../client/messages.ts';
import type { WantedSession } from '../cluster/session-directory.ts';
import type { SessionTable } from '../sessions/session-table.ts';
import type { LongTexts } from '../text/long-texts.ts';
import type { QuestionBounds } from './question.ts';

/** What all native connections of a server share. */
export interface NativeService {
  readonly clock: Clock;
  readonly sessions: SessionTable;
  /** Fetches a session that is to be resumed from where it was, if it is not here; null: there is nowhere else. */
  readonly bring?: ((wanted: WantedSession, done: () => void) => void) | null;
  readonly hello: Omit<ServerHello, 'type' | 'version' | 'timeUs'>;
  readonly question: QuestionBounds;
  readonly bufferSizeMax: number; // unread bytes of one socket at which its answers wait
  readonly texts: Pick<LongTexts, 'run'>;
  readonly valuesMax: number; // numbers, texts … in one frame
  readonly waitingSizeMax: number; // bytes of messages of one socket that may wait behind a long text
  /** A message failed: a mistake of ours. */
  readonly onCrash: (error: unknown) => void;
  /** Whose key this is (the name under which sessions and cached prefixes are kept); null: nobody's. */
  readonly ownerOf: (apiKey: string) => string | null;
}
