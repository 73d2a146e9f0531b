// Who watches, and what all of them are told: one report about every second, made once and sent to everybody as it is; nothing
// is computed while nobody watches. A viewer that reads slowly misses reports, none is kept for it. Before it: routes.ts; after
// it: live-state.ts.
import type { Backend } from '../../kernels/backend.ts';
import type { Timer } from '../../kernels/clock.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import { EventStream } from '../http/sse.ts';
import { POINT_MS } from './live-recorder.ts';
import { type LiveParts, liveReport } from './live-state.ts';
import type { LiveHistory } from './page/live-report.ts';
import { RegionActivity } from './region-activity.ts';

const REPORT_MS = 1000;
const UNREAD_SIZE_MAX = 256 * 1024; // bytes; a viewer that is so far behind misses what comes

export interface HubBounds {
  readonly uiViewerCountMax: number;
}

interface Viewer {
  readonly stream: EventStream;
  slow: boolean;
}

export class LiveHub {
  readonly #parts: LiveParts;
  readonly #bounds: HubBounds;
  readonly #viewers = new Set<Viewer>(); // bounded by uiViewerCountMax
  #timer: Timer | null = null;
  readonly #activity = new RegionActivity();
  #busy: readonly number[] | null = null; // [region] of the device, lately
  #toldPoints = 0;
  #backend: Backend; // of which the costs are
  #closed = false;

  constructor(parts: LiveParts, bounds: HubBounds) {
    this.#parts = parts;
    this.#bounds = bounds;
    this.#backend = parts.device.backend;
  }

  get viewerCount(): number {
    return this.#viewers.size;
  }

  /** Streams to the caller until it leaves. */
  open(call: HttpCall): void {
    const refused = this.#refusal();
    if (refused !== null) {
      call.refuse(refused);
      return;
    }
    const { clock, recorder } = this.#parts;
    const stream = new EventStream(call, {
      clock,
      bufferSizeMax: UNREAD_SIZE_MAX,
      onSlow: () => {
        viewer.slow = true;
      },
      onReady: () => {
        viewer.slow = false;
      },
    });
    const viewer: Viewer = { stream, slow: false };
    this.#viewers.add(viewer);
    call.onOver(() => {
      stream.stop();
      this.#leave(viewer);
    });
    const history: LiveHistory = { pointMs: POINT_MS, points: recorder.points };
    stream.send(JSON.stringify(history), 'history');
    if (this.#timer === null) this.#begin();
    else stream.send(this.#text(null), 'live');
  }

  /** The server is going: every stream ends. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const { stream } of [...this.#viewers]) stream.end();
  }

  #refusal(): Fault | null {
    if (this.#closed) return fault('draining', 'the server is shutting down');
    const { uiViewerCountMax } = this.#bounds;
    if (this.#viewers.size < uiViewerCountMax) return null;
    const message = `${uiViewerCountMax} pages are watching, as many as may (--ui-viewers)`;
    return fault('connection_limit', message, { retryAfterMs: REPORT_MS });
  }

  #begin(): void {
    this.#toldPoints = this.#parts.recorder.pointCount;
    this.#tell();
  }

  #tell(): void {
    const { recorder, clock, device } = this.#parts;
    if (device.backend !== this.#backend) recorder.forgetCosts();
    this.#backend = device.backend;
    const { pointCount } = recorder;
    const point = pointCount > this.#toldPoints ? recorder.points.at(-1)! : null;
    this.#toldPoints = pointCount;
    this.#busy = this.#activity.sharesOf(device.backend, clock.nowMs());
    const text = this.#text(point);
    for (const viewer of this.#viewers) if (!viewer.slow) viewer.stream.send(text, 'live');
    this.#timer = clock.schedule(REPORT_MS, () => this.#tell());
  }

  #text(point: LiveHistory['points'][number] | null): string {
    return JSON.stringify(liveReport(this.#parts, { point, busy: this.#busy, viewers: this.#viewers.size }));
  }

  #leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }
}
