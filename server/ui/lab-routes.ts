// Routes of the hardware and report panes: what the device looks like and what else may be named, one comparison at a time, and
// the reports with an address for a frame. Before it: ui.ts; after it: report-shelf.ts and the program itself.
import { join } from 'node:path';
import { z } from 'zod';
import type { DevicePlan } from '../../kernels/device-plan.ts';
import type { DeviceCatalogue } from '../../kernels/registry.ts';
import { fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import { packageRoot } from './assets.ts';
import type { ReportShelf } from './report-shelf.ts';

const table = routesIn('page');

export interface LabParts {
  readonly plan: () => DevicePlan | null;
  readonly catalogue: () => Promise<DeviceCatalogue>;
  readonly reports: ReportShelf;
  readonly style: () => string; // in which reports look like the page; no file of theirs may be fetched
  /** Runs the program with these arguments; rejects with what it said. Null: it cannot. */
  readonly runSelf: ((args: readonly string[]) => Promise<void>) | null;
  readonly freshName: () => string;
}

const name = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, 'a name of a-z, 0-9, . and -');

/** Recorded loads that come with the program. */
const TRACES = {
  'agent-sessions': 'agent-sessions-40.rle.jsonl.gz',
  mooncake: 'mooncake-conversation-1500.jsonl.gz',
  azure: 'azure-code-2023.csv.gz',
} as const;

const comparisonSchema = z.strictObject({
  trace: z.enum(Object.keys(TRACES) as [keyof typeof TRACES]).nullish(), // instead of lengths and a rate
  devices: z.array(name).min(1).max(4),
  model: name,
  precision: z.enum(['fp16', 'bf16', 'fp8', 'int4']).default('fp16'),
  isl: z.int().min(1).max(32_768).default(1000),
  osl: z.int().min(2).max(4096).default(200),
  rate: z.number().min(0.01).max(100).default(4),
  requests: z.int().min(1).max(500).default(100),
});

/** Nothing of it runs or is fetched, whatever stands in the file. */
const REPORT_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'";

export function labRoutes(parts: LabParts): readonly Route[] {
  let busy = false; // one comparison at a time: each takes a core
  const compare = async (call: HttpCall, body: z.output<typeof comparisonSchema>): Promise<void> => {
    busy = true;
    const file = `compare-${parts.freshName()}.html`;
    try {
      await parts.runSelf!(argumentsOf(body, parts.reports.place(file)));
      call.reply(
        200,
        parts.reports.list().find((report) => report.name === file),
      );
    } catch (error) {
      call.refuse(fault('invalid_request', (error as Error).message));
    } finally {
      busy = false;
    }
  };
  return [
    table.get(
      '/ui/hardware',
      'What lies where on the device, and what other devices may be named',
      (call) => {
        parts.catalogue().then(
          (catalogue) =>
            call.reply(200, { plan: parts.plan(), ...catalogue, can_compare: parts.runSelf !== null }),
          (error: unknown) =>
            call.guard(() => {
              throw error;
            }),
        );
      },
    ),
    table.posted(
      '/ui/compare',
      { summary: 'Devices beside each other on one load; a report', body: comparisonSchema },
      (call, body) => {
        if (parts.runSelf === null) call.refuse(fault('unsupported', 'this server cannot run comparisons'));
        else if (busy)
          call.refuse(fault('queue_full', 'another comparison is running', { retryAfterMs: 5000 }));
        else void compare(call, body);
      },
    ),
    table.get('/ui/reports', 'The latest reports, with addresses for a frame', (call) =>
      call.reply(200, { reports: parts.reports.list() }),
    ),
    // its address cannot be guessed
    table.get('/ui/report/:', { summary: 'A report', answers: 'text', open: true }, (call) =>
      answerReport(call, parts),
    ),
  ];
}

function answerReport(call: HttpCall, { reports, style }: LabParts): void {
  const html = reports.open(call.parameter);
  if (html === null) {
    call.refuse(fault('not_found', 'there is no such report, or the server was started anew since'));
    return;
  }
  call.replyText(
    200,
    html.replace('</head>', () => `<style>${style()}</style></head>`),
    {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': REPORT_POLICY,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    },
  );
}

function argumentsOf(body: z.output<typeof comparisonSchema>, path: string): string[] {
  const { devices, model, precision, isl, osl, rate, requests, trace } = body;
  const load = trace == null ? { isl, osl, rate } : { trace: tracePath(TRACES[trace]) };
  const flags = { devices: devices.join(','), model, precision, requests, ...load, html: path };
  const usersMax = ['--users-max', '64'];
  return [
    'compare',
    ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]),
    ...usersMax,
  ];
}

function tracePath(file: string): string {
  return join(packageRoot(), 'loadtest/traces', file);
}
