// A report in the page: a frame in which nothing runs. Before it: reports-pane.tsx and compare-form.tsx.
import type { VNode } from 'preact';
import { Quiet } from './controls.tsx';
import type { Report } from './hardware.ts';
import { Icon } from './icons.tsx';

export function ReportFrame({ report, onClose }: Readonly<{ report: Report; onClose: () => void }>): VNode {
  return (
    <section class="card report" aria-label={report.title}>
      <header>
        <h2>{report.title}</h2>
        <span class="grow" />
        <a class="button quiet" href={report.path} target="_blank" rel="noopener">
          <Icon name="open" size={14} /> Open alone
        </a>
        <Quiet icon="close" size={16} aria-label="Close the report" onClick={onClose} />
      </header>
      <iframe title={report.title} src={report.path} sandbox="" />
    </section>
  );
}
