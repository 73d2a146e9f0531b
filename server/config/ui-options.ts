// Options of the page at GET /. Part of the table in options.ts.
import { option } from './option.ts';
import { among, integer } from './option-domains.ts';

export const UI_OPTIONS = {
  ui: option('ui', among(['on', 'off']), 'on').says(
    'the page at GET /: playground and what the server is doing; --no-ui is the same as off',
  ),
  uiViewerCountMax: option('ui-viewers', integer(1, 1024), 32).says(
    'pages that may watch what the server is doing at the same time',
  ),
  uiText: option('ui-text', among(['off', 'on']), 'off').says(
    'the page may show the text of the native sessions of its own API key; without keys it never does',
  ),
};
