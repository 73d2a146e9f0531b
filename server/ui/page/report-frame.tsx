// A report in the page: a frame in which nothing runs. Before it: reports-pane.tsx and compare-form.tsx.
import type { VNode } from 'preact';
import type { Report } from './hardware.ts';
import { Icon } from './icons.tsx';

export function ReportFrame({
  report,
  onClose,
}: {
  readonly report: Report;
  readonly onClose: () => void;
}): VNode {
  return (
    <section class="card report" aria-label={report.title}>
      <header>
        <h2>{report.title}</h2>
        <span class="grow" />
        <a class="button quiet" href={report.path} target="_blank" rel="noopener">
          <Icon name="open" size={14} /> Open alone
        </a>
        <button type="button" class="quiet" aria-label="Close the report" onClick={onClose}>
          <Icon name="close" size={16} />
        </button>
      </header>
      <iframe title={report.title} src={report.path} sandbox="" />
    </section>
  );
}
