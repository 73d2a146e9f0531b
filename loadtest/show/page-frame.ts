// The frame of every HTML report: one file, no script, nothing fetched, light and dark. Owns the style sheet, sections
// and the escaping of text; knows no report. Used by every page.

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --line: #e0e1e6; --back: #fcfcfd; --card: #fff; --good: #218358; --bad: #ce2c31; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #b0b4ba; --line: #363a3f; --back: #111113; --card: #18191b; --good: #3dd68c; --bad: #ff9592; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 940px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -0.01em; } h2 { font-size: 17px; margin: 0 0 4px; }
p { margin: 4px 0; } .soft { color: var(--soft); } .nothing { color: var(--soft); font-style: italic; padding: 20px 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin-top: 18px; overflow-x: auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 18px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.tile b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; letter-spacing: -0.01em; } .tile span { color: var(--soft); font-size: 13px; }
.verdict { display: inline-block; border-radius: 6px; padding: 2px 10px; font-weight: 600; margin: 10px 0 4px; color: #fff; background: var(--good); }
@media (prefers-color-scheme: dark) { .verdict { color: #111; } }
.verdict.bad { background: var(--bad); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid var(--line); white-space: nowrap; } th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { text-align: left; } td.text, th.text { text-align: left; white-space: normal; overflow-wrap: anywhere; }
td.refused { color: var(--soft); font-style: italic; } td.good { color: var(--good); } td.bad { color: var(--bad); }
figure { margin: 8px 0 0 !important; max-width: none !important; } figure svg, section > svg { max-width: 100%; height: auto; color: var(--ink); }
dl { display: grid; grid-template-columns: 150px 1fr; gap: 3px 14px; margin: 8px 0 0; font-size: 14px; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
pre { overflow: auto; font-size: 12.5px; line-height: 1.45; } li { margin: 6px 0; } h3 { font-size: 15px; margin: 16px 0 4px; }
.grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 14px; } .chart h3 { margin: 0; }
.plans { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 14px; margin: 6px 0 16px; }
svg text.title { font: 600 13px system-ui, sans-serif; fill: var(--ink); } svg text.tile { font-size: 9px; fill: #fff; text-anchor: middle; paint-order: stroke; stroke: #0006; stroke-width: 2px; }
svg .border { fill: none; stroke: var(--soft); stroke-width: .6; }
.legend { margin: 2px 0; } .key { margin-right: 16px; } .key i { display: inline-block; width: 11px; height: 11px; margin-right: 5px; border: 1px solid var(--line); }
details summary { cursor: pointer; color: var(--soft); margin-top: 10px; }
`;

/** A whole page. `header` and `body` are markup, `title` is text. */
export function framedPage(title: string, header: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)} · Sparklane</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header>
<h1>${escaped(title)}</h1>
${header}
</header>
${body}
</main>
</body>
</html>
`;
}

/** `title` and `text` are text or markup of ours, `body` is markup. */
export function section(title: string, text: string, body: string): string {
  return `<section><h2>${title}</h2>${text === '' ? '' : `<p class="soft">${text}</p>`}${body}</section>`;
}

export function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
