// An upstream of memory: for every request a test says what is answered and when, on the test's clock. Keeps what it was
// asked and how many requests were under way at most.
import type { Clock } from '../kernels/clock.ts';
import type { UpstreamWire, WireCall, WireEvents } from '../server/upstream/wire.ts';

export interface WireScript {
  readonly status?: number; // 200
  readonly headers?: Readonly<Record<string, string>>;
  readonly afterMs?: number; // to the head
  readonly pieces?: readonly string[]; // of the body
  readonly pieceMs?: number; // between them
  readonly broken?: string; // ends in this error; before the head if there are no pieces
  readonly silent?: boolean; // never says anything
  readonly open?: boolean; // never ends
}

export interface WireBody {
  readonly model: string;
  readonly messages: readonly {
    readonly role: string;
    readonly content: unknown;
    readonly [field: string]: unknown;
  }[];
  readonly [field: string]: unknown;
}

export class ScriptedWire implements UpstreamWire {
  readonly asked: WireBody[] = [];
  readonly #clock: Clock;
  readonly #script: (body: WireBody, attempt: number) => WireScript;
  runningMax = 0;
  running = 0;
  closed = false;

  constructor(clock: Clock, script: (body: WireBody, attempt: number) => WireScript) {
    this.#clock = clock;
    this.#script = script;
  }

  post(body: string, events: WireEvents): WireCall {
    const parsed = JSON.parse(body) as WireBody;
    this.asked.push(parsed);
    this.running++;
    this.runningMax = Math.max(this.runningMax, this.running);
    const { pieces = [], pieceMs = 1, ...script } = this.#script(parsed, this.asked.length);
    let over = false;
    let paused = false;
    let next = 0;
    const end = (act: () => void) => {
      if (over) return;
      over = true;
      this.running--;
      act();
    };
    const go = () => {
      if (over || paused) return;
      if (next < pieces.length) {
        events.onData(Buffer.from(pieces[next++]!));
        this.#clock.schedule(pieceMs, go);
      } else if (script.broken !== undefined) end(() => events.onError(script.broken!));
      else if (script.open !== true) end(() => events.onEnd());
    };
    if (script.silent !== true) {
      this.#clock.schedule(script.afterMs ?? 1, () => {
        if (over) return;
        if (script.broken !== undefined && pieces.length === 0) {
          end(() => events.onError(script.broken!));
          return;
        }
        const headers = { 'content-type': 'text/event-stream', ...script.headers };
        events.onHead(script.status ?? 200, (name) => (headers as Record<string, string>)[name] ?? '');
        this.#clock.defer(go);
      });
    }
    return {
      abort: () => {
        this.#clock.defer(() => end(() => events.onError('aborted')));
      },
      pause: () => {
        paused = true;
      },
      resume: () => {
        if (!paused) return;
        paused = false;
        this.#clock.defer(go);
      },
    };
  }

  close(): void {
    this.closed = true;
  }
}

/** The stream of an answer: its text in pieces, calls after it, usage at the end. */
export function chunksOf(
  texts: readonly string[],
  more: {
    readonly calls?: readonly { readonly name: string; readonly arguments: readonly string[] }[];
    readonly usage?: object | null;
    readonly finish?: string;
  } = {},
): string[] {
  const data = (value: object) => `data: ${JSON.stringify(value)}\n\n`;
  const part = (delta: object, finish: string | null = null) =>
    data({ choices: [{ index: 0, delta, finish_reason: finish }] });
  const calls = (more.calls ?? []).flatMap(({ name, arguments: pieces }, index) => [
    part({
      tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name, arguments: '' } }],
    }),
    ...pieces.map((piece) => part({ tool_calls: [{ index, function: { arguments: piece } }] })),
  ]);
  const usage = more.usage === undefined ? { prompt_tokens: 100, completion_tokens: 10 } : more.usage;
  return [
    ...texts.map((content) => part({ content })),
    ...calls,
    part({}, more.finish ?? (calls.length > 0 ? 'tool_calls' : 'stop')),
    ...(usage === null ? [] : [data({ choices: [], usage })]),
    'data: [DONE]\n\n',
  ];
}
