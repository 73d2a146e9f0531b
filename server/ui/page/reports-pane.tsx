// The latest reports of comparisons, load tests and outcomes. Before it: whole-page.tsx; after it: GET /ui/reports.
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type Api, wordsOf } from './api.ts';
import { Failure, Quiet } from './controls.tsx';
import type { Report } from './hardware.ts';
import { Icon } from './icons.tsx';
import { bytes } from './numbers.ts';
import { ReportFrame } from './report-frame.tsx';

export function ReportsPane({ api }: { readonly api: Api }): VNode {
  const [reports, setReports] = useState<readonly Report[] | null>(null);
  const [failure, setFailure] = useState('');
  const [open, setOpen] = useState<Report | null>(null);
  const load = (): void => {
    api.json<{ reports: readonly Report[] }>('ui/reports').then(
      (found) => setReports(found.reports),
      (error: unknown) => setFailure(wordsOf(error)),
    );
  };
  useEffect(load, [api]);
  return (
    <div class="reports">
      <header class="pane-head">
        <h1>Reports</h1>
        <span class="grow" />
        <Quiet icon="again" size={16} onClick={load}>
          Look again
        </Quiet>
      </header>
      <div class="live-body">
        <Failure words={failure} />
        {reports?.length === 0 && <NoReports />}
        {reports !== null && reports.length > 0 && (
          <ul class="report-list">
            {reports.map((report) => (
              <li key={report.name}>
                <button
                  type="button"
                  class="card"
                  aria-pressed={open?.name === report.name}
                  onClick={() => setOpen(report)}
                >
                  <Icon name="report" size={20} />
                  <span>
                    <strong>{report.title}</strong>
                    <span class="hint">
                      {new Date(report.atMs).toLocaleString()} · {bytes(report.size)}
                    </span>
                  </span>
                </button>
              </li>
            ))}
          </ul>
        )}
        {open !== null && <ReportFrame key={open.name} report={open} onClose={() => setOpen(null)} />}
      </div>
    </div>
  );
}

function NoReports(): VNode {
  return (
    <div class="notice">
      <p>
        No report yet. A comparison under Hardware makes one, and so do, on this machine,{' '}
        <code>sparklane loadtest</code>, <code>sparklane compare</code> and <code>sparklane report</code>.
      </p>
    </div>
  );
}
