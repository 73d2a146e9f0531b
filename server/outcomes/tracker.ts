// TaskTracker: tasks as traffic shows them. Owns which requests belong together, and what follows from when they come: a gap
// that ends with a tool's output is the tool's time, one that ends with a person's message after a diff is review. All of
// it is marked as derived. Holds a bounded table of open tasks and no text. Before it: server/lanes tells; after it:
// recorder.ts.
import { createHash } from 'node:crypto';
import type { LaneConversation } from '../lanes/conversation.ts';
import type { AnswerWatch, LaneEndReport, LaneObserver, RoutedReport } from '../lanes/observer.ts';
import { DiffWatch } from './diff-watch.ts';
import type { Outcomes } from './outcomes.ts';
import { type EventKind, PHASE_OF_KIND, type TaskEvent, type TaskPhase } from './task-record.ts';
import { type ToolRun, turnEvidence } from './turn-evidence.ts';
import { TASK_ID } from './wire.ts';

const OPEN_TASKS_MAX = 4096; // the one that was quiet for longest is forgotten; what it did stays in the record
const RUNNING_MAX = 4096; // requests between their lane and their end
const IDLE_MS_MAX = 1_800_000; // a conversation that goes on after half an hour is about another task
const TOOL_MS_MAX = 3_600_000; // a longer gap is no tool's
const REVIEW_MS_MAX = 900_000; // who needs longer was away
const TITLE_LENGTH_MAX = 200; // characters, where text is kept

interface OpenTask {
  readonly id: string;
  readonly owner: string;
  told: boolean; // the record was told of it
  seenMs: number;
  endMs: number | null; // of its latest answer
  latest: string | null; // that request
  outputCount: number | null; // tool outputs seen
  reworkTurns: number;
  inRework: boolean;
  hasDiff: boolean; // that nobody has said anything to
  accepted: boolean;
}

interface Running {
  readonly task: OpenTask;
  readonly background: boolean;
  readonly watch: DiffWatch | null;
}

export class TaskTracker implements LaneObserver {
  readonly #outcomes: Outcomes;
  readonly #tasks = new Map<string, OpenTask>(); // quiet for longest first
  readonly #running = new Map<string, Running>(); // by request

  constructor(outcomes: Outcomes) {
    this.#outcomes = outcomes;
  }

  onRouted(): void {}

  onRefused(): void {}

  onAttempt(): void {}

  watch(report: RoutedReport, conversation: LaneConversation): AnswerWatch | null {
    const { clock, epochMs } = this.#outcomes;
    const atMs = epochMs() - report.waitedMs - report.routeMs - report.openMs; // when it came
    const task = this.#taskOf(report, conversation, atMs);
    const { background } = report.signals;
    if (!background) this.#readTurn(task, report, { conversation, atMs });
    this.#observeRequest(task, report, atMs);
    const watch = background ? null : new DiffWatch(task.id, conversation, epochMs);
    this.#running.set(report.requestId, { task, background, watch });
    if (this.#running.size > RUNNING_MAX) this.#running.delete(firstKey(this.#running));
    task.seenMs = clock.nowMs();
    return watch ?? { taskId: task.id, onText: () => {} };
  }

  onLaneEnd(end: LaneEndReport): void {
    const running = this.#running.get(end.requestId);
    if (running === undefined) return;
    this.#running.delete(end.requestId);
    const { task, background, watch } = running;
    const { recorder, clock, epochMs } = this.#outcomes;
    const atMs = epochMs();
    const { requestId: request, lane: _, ...measured } = end;
    recorder.observe({ op: 'end', owner: task.owner, task: task.id, request, end: measured, atMs });
    if (background) return;
    task.endMs = atMs;
    task.latest = request;
    task.seenMs = clock.nowMs();
    if (watch !== null && !end.failed) clock.defer(() => this.#readAnswer(task, request, watch));
  }

  #readAnswer(task: OpenTask, request: string, watch: DiffWatch): void {
    const question = watch.question();
    if (question === null) return;
    this.#outcomes.recorder.compute({ kind: 'diff', question }, (answer) => {
      if (!answer.ok || answer.value === null) return;
      const { atMs, applies: ok } = answer.value;
      task.hasDiff = true;
      this.#observeEvent(task, { id: `${request}.diff`, kind: 'diff_proposed', atMs, ok });
    });
  }

  #taskOf(report: RoutedReport, conversation: LaneConversation, atMs: number): OpenTask {
    const { owner: keyOwner, taskId, sessionKey, requestId, signals } = report;
    const owner = this.#outcomes.ownerIdOf(keyOwner);
    const named = taskId === null || taskId === '' ? null : taskId;
    const key = `${owner}\0${named === null ? (sessionKey ?? requestId) : `task ${named}`}`;
    const known = this.#tasks.get(key);
    this.#tasks.delete(key);
    const goesOn = known !== undefined && (named !== null || !this.#isOver(known, report));
    const task = goesOn
      ? known
      : this.#newTask(owner, named, {
          reworkTurns: signals.reworkTurns,
          outputCount: known?.outputCount ?? null,
        });
    this.#tasks.set(key, task);
    if (this.#tasks.size > OPEN_TASKS_MAX) this.#tasks.delete(firstKey(this.#tasks));
    if (!task.told) this.#tellTask(task, conversation, atMs);
    return task;
  }

  /** A task is over when its conversation was quiet for long, or when something new is asked after its acceptance. */
  #isOver(task: OpenTask, { signals }: RoutedReport): boolean {
    if (this.#outcomes.clock.nowMs() - task.seenMs > IDLE_MS_MAX) return true;
    return (
      task.accepted && !signals.midTurn && !signals.background && signals.reworkTurns <= task.reworkTurns
    );
  }

  #newTask(
    owner: string,
    named: string | null,
    seen: Pick<OpenTask, 'reworkTurns' | 'outputCount'>,
  ): OpenTask {
    const id = named === null ? `task_${this.#outcomes.freshId()}` : taskIdOf(named);
    return {
      ...{ id, owner, told: false, seenMs: 0, endMs: null, latest: null, ...seen },
      ...{ inRework: false, hasDiff: false, accepted: false },
    };
  }

  #tellTask(task: OpenTask, { entries }: LaneConversation, atMs: number): void {
    const { recorder, metrics, keepText } = this.#outcomes;
    const { id, owner } = task;
    const asked = keepText ? entries.findLast(({ kind }) => kind === 'user')?.text : undefined;
    task.told = recorder.observe({
      op: 'task',
      owner,
      task: {
        ...{ id, owner, source: 'derived', taskClass: null, lane: null },
        title: asked?.slice(0, TITLE_LENGTH_MAX) ?? null,
        createdMs: Math.round(atMs),
      },
    });
    if (task.told) metrics.onTask('derived');
  }

  /** What happened between the latest answer and this request. */
  #readTurn(
    task: OpenTask,
    { requestId, signals }: RoutedReport,
    { conversation, atMs }: { readonly conversation: LaneConversation; readonly atMs: number },
  ): void {
    const { outputCount, runs } = turnEvidence(conversation, task.outputCount);
    task.outputCount = outputCount;
    const gapMs = task.endMs === null ? null : atMs - task.endMs;
    if (runs.length > 0) this.#readRuns(task, { requestId, runs, gapMs, atMs });
    if (signals.midTurn) return;
    const sentBack = signals.reworkTurns > task.reworkTurns;
    task.reworkTurns = signals.reworkTurns;
    const looked = gapMs !== null && gapMs >= 0 && gapMs <= REVIEW_MS_MAX;
    if (looked && runs.length === 0 && (task.hasDiff || sentBack)) {
      const ok = sentBack ? false : null;
      this.#observeEvent(task, { id: `${requestId}.review`, kind: 'reviewed', atMs, durationMs: gapMs, ok });
    }
    task.hasDiff = false;
    task.inRework = sentBack;
    if (sentBack) this.#observeEvent(task, { id: `${requestId}.rework`, kind: 'reworked', atMs });
  }

  #readRuns(
    task: OpenTask,
    given: {
      readonly requestId: string;
      readonly runs: readonly ToolRun[];
      readonly gapMs: number | null;
      readonly atMs: number;
    },
  ): void {
    const { requestId, runs, gapMs, atMs } = given;
    const durations = durationsOf(runs, gapMs);
    let reachedMs = atMs - (gapMs ?? 0);
    for (const [index, run] of runs.entries()) {
      const { tool, exitCode, isCheck } = run;
      const durationMs = durations[index]!;
      reachedMs = durationMs === null ? atMs : reachedMs + durationMs;
      const id = `${requestId}.${index}`;
      const ran = { tool, exitCode, ok: !run.failed, durationMs, atMs: reachedMs };
      this.#observeEvent(task, { id, kind: isCheck ? 'verified' : 'tool_run', ...ran });
      if (run.failed) continue;
      if (run.isEdit) {
        task.hasDiff = true;
        this.#observeEvent(task, {
          id: `${id}.diff`,
          kind: 'diff_proposed',
          atMs: task.endMs ?? atMs,
          ok: true,
        });
      }
      if (run.isPlan)
        this.#observeEvent(task, { id: `${id}.plan`, kind: 'planned', atMs: task.endMs ?? atMs });
      if (run.reverts) this.#observeEvent(task, { id: `${id}.revert`, kind: 'reverted', atMs });
      if (run.commits) {
        task.accepted = true;
        this.#observeEvent(task, { id: `${id}.accept`, kind: 'accepted', atMs });
      }
    }
    if (!runs.every(({ isPlan }) => isPlan) || task.latest === null || task.inRework) return;
    const { owner, id, latest: request } = task;
    this.#outcomes.recorder.observe({ op: 'phase', owner, task: id, request, phase: 'plan' });
  }

  #observeRequest(task: OpenTask, report: RoutedReport, atMs: number): void {
    const { requestId, sessionKey, asked, lane, decision, signals, waitedMs, routeMs } = report;
    const { taskClass, rule, policy } = decision;
    const phase: TaskPhase = task.inRework ? 'rework' : 'model';
    this.#outcomes.recorder.observe({
      op: 'request',
      owner: task.owner,
      task: task.id,
      request: {
        ...{ id: requestId, session: sessionKey, atMs, asked, lane, decided: decision.lane },
        ...{
          taskClass,
          rule,
          policy,
          phase,
          background: signals.background,
          waitedMs: waitedMs + routeMs,
          signals,
        },
        end: null,
      },
    });
  }

  #observeEvent(task: OpenTask, event: Pick<TaskEvent, 'id' | 'kind' | 'atMs'> & Partial<TaskEvent>): void {
    const { recorder, metrics } = this.#outcomes;
    const { kind } = event;
    const whole: TaskEvent = {
      ...{
        durationMs: null,
        source: 'derived',
        lane: null,
        tool: null,
        exitCode: null,
        ok: null,
        cost: null,
      },
      ...{ note: null, phase: phaseOf(kind, task.inRework) },
      ...event,
    };
    if (recorder.observe({ op: 'event', owner: task.owner, task: task.id, event: whole })) {
      metrics.onEvent(kind, 'derived');
    }
  }
}

/** Tools and checks of a turn that mends are part of the mending. */
function phaseOf(kind: EventKind, inRework: boolean): TaskPhase | null {
  const phase = PHASE_OF_KIND[kind];
  return inRework && (phase === 'tools' || phase === 'verify') ? 'rework' : phase;
}

/** The gap, shared by what the outputs tell of their times, else equally; null: unknown. */
function durationsOf(runs: readonly ToolRun[], gapMs: number | null): readonly (number | null)[] {
  if (gapMs === null || gapMs < 0 || gapMs > TOOL_MS_MAX) return runs.map(({ toldMs }) => toldMs);
  const told = runs.reduce((sum, { toldMs }) => sum + (toldMs ?? Number.NaN), 0);
  if (!(told > 0)) return runs.map(() => gapMs / runs.length);
  return runs.map(({ toldMs }) => (gapMs * toldMs!) / told);
}

/** A client's name of a task is its id; one that might be prose is kept as a hash. */
function taskIdOf(named: string): string {
  if (TASK_ID.test(named)) return named;
  return `task_${createHash('sha256').update(named).digest('base64url').slice(0, 22)}`;
}

function firstKey(map: ReadonlyMap<string, unknown>): string {
  const [key] = map.keys();
  return key!;
}
