// GET / and what the page is made of: open to anybody, with or without a key, for nothing of it says anything about this server
// but that it has a page. GET /ui/about, for whoever has a key, is what other routes do not say. Before it: http/door.ts; after it:
// assets.ts.
import { fault } from '../base/errors.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import type { Asset, Assets } from './assets.ts';
import type { LiveHub } from './live-hub.ts';
import { SHELL, SHELL_HEADERS } from './shell.ts';

const table = routesIn('page');

const NOT_BUILT = 'The page is not compiled: run `make build` in the repository. The API works.\n';
const SAFE = { 'x-content-type-options': 'nosniff', 'cross-origin-resource-policy': 'same-origin' };

export interface UiRouteParts {
  readonly assets: Assets | null; // null: this checkout was never built
  readonly about: () => UiAbout;
  readonly live: Pick<LiveHub, 'open'>;
  readonly sessions: (owner: string) => readonly OwnSession[];
}

/** A native session as its owner sees it. */
export interface OwnSession {
  readonly id: string;
  readonly tokens: number;
  readonly text: string | null; // its end; null where the server does not show texts
}

export interface UiAbout {
  readonly version: string;
  readonly chat: boolean; // the model has a template for conversations
  readonly block_size: number; // tokens
  readonly shows_text: boolean; // of one's own sessions
}

export function uiRoutes({ assets, about, live, sessions }: UiRouteParts): readonly Route[] {
  return [
    table.get('/ui/about', 'What the page has to know beside the models', (call) => call.reply(200, about())),
    table.get(
      '/ui/live',
      { summary: 'What the server is doing, about every second', answers: 'events' },
      (call) => live.open(call),
    ),
    table.get(
      '/ui/sessions',
      'The native sessions of the key, with their text where --ui-text is on',
      (call) => call.reply(200, { sessions: sessions(call.facts.owner) }),
    ),
    table.get('/ui/:*', { summary: 'A file of the page', answers: 'text', open: true }, (call) =>
      answerAsset(call, assets),
    ),
  ];
}

/** GET / of a browser. */
export function answerShell(call: HttpCall, assets: Assets | null): void {
  if (assets !== null) call.replyText(200, SHELL, SHELL_HEADERS);
  else call.replyText(503, NOT_BUILT, { 'content-type': 'text/plain; charset=utf-8' });
}

function answerAsset(call: HttpCall, assets: Assets | null): void {
  const asset = assets?.get(call.parameter) ?? null;
  if (asset === null) call.refuse(fault('not_found', 'the page has no such file'));
  else {
    const headers = { ...SAFE, etag: asset.etag, 'cache-control': 'no-cache', vary: 'accept-encoding' };
    if (call.request.header('if-none-match') === asset.etag) call.replyText(304, '', headers);
    else sendAsset(call, asset, headers);
  }
}

function sendAsset(call: HttpCall, asset: Asset, headers: Readonly<Record<string, string>>): void {
  const zipped = /\bgzip\b/.test(call.request.header('accept-encoding'));
  call.replyBytes(200, zipped ? asset.gzip : asset.body, {
    ...headers,
    'content-type': asset.type,
    ...(zipped && { 'content-encoding': 'gzip' }),
  });
}
