// Observable Plot into static markup, by a document of linkedom. Owns width and fonts of every chart; draws none
// itself.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

const WIDTH = 860; // CSS pixels; the page scales it down on narrow screens

/** Static SVG: the page needs no script. */
export function draw(options: Plot.PlotOptions): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const figure = Plot.plot({
    document: document as unknown as NonNullable<Plot.PlotOptions['document']>, // enough of a DOM for Plot
    width: WIDTH,
    marginRight: 30,
    style: { fontFamily: 'inherit', fontSize: '12px', background: 'transparent', overflow: 'visible' },
    ...options,
  });
  return figure.outerHTML;
}

export function nothing(why: string): string {
  return `<p class="nothing">Nothing to draw: ${why}.</p>`;
}
