// The one HTML document and the policy that it runs under. Pure. Before it: routes.ts; after it: the browser, which loads
// the page as it was compiled.
import { createHash } from 'node:crypto';
import { IMPORT_MAP } from './assets.ts';

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8' fill='%23161a22'/%3E%3Cpath d='M18 4 7 18h8l-2 10 12-15h-8z' fill='%23ffb020'/%3E%3C/svg%3E";

/** Addresses are relative, so that the page also works below a path of a proxy. */
export const SHELL = `<!doctype html>
<html lang="en">
<!-- Ollama is running, for programs that look for these words here. -->
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<meta name="color-scheme" content="light dark">
<title>Sparklane</title>
<link rel="icon" href="${ICON}">
<link rel="stylesheet" href="./ui/lib/uplot.css">
<link rel="stylesheet" href="./ui/tokens.css">
<link rel="stylesheet" href="./ui/style.css">
<link rel="stylesheet" href="./ui/playground.css">
<link rel="stylesheet" href="./ui/live.css">
<link rel="stylesheet" href="./ui/hardware.css">
<script type="importmap">${IMPORT_MAP}</script>
<script type="module" src="./ui/main.js"></script>
</head>
<body>
<noscript>This page needs JavaScript; the API does not: see GET /v1/models.</noscript>
<div id="root"></div>
</body>
</html>
`;

const importMapHash = createHash('sha256').update(IMPORT_MAP).digest('base64');

/**
 * Scripts and styles are this server's own files, and nothing may be loaded from or sent to anywhere else. No script may turn
 * text into markup (trusted types), whatever a model writes.
 */
const POLICY = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${importMapHash}'`,
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

export const SHELL_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cache-control': 'no-cache',
};
