// Options of the Responses API: its WebSocket, and what is kept of responses and conversations. Part of the table in options.ts.
import { option } from './option.ts';
import { among, GIB, integer, KIB, MIB, size } from './option-domains.ts';

const HOUR_MS = 3_600_000;

export const RESPONSE_OPTIONS = {
  responsesWebSocket: option('responses-websocket', among(['on', 'off']), 'on').says(
    'WebSocket mode of /v1/responses; off answers upgrades with 426, clients fall back to HTTP',
  ),
  responsesSocketAgeMaxMs: option('responses-socket-age-ms', integer(1000, 24 * HOUR_MS), HOUR_MS).says(
    'a WebSocket of /v1/responses takes no new work after this; clients open another',
  ),
  responseCountMax: option('responses', integer(0, 65_536), 1024).says('stored responses (store: true)'),
  responseCountPerKeyMax: option('responses-per-key', integer(0, 65_536), 512).says(
    'stored responses of one API key',
  ),
  responseStoreSizeMax: option('response-store-size', size(1 * KIB, 64 * GIB), 64 * MIB).says(
    'text of all stored responses together',
  ),
  responseTtlMs: option('response-ttl-ms', integer(1000, 720 * HOUR_MS), 24 * HOUR_MS).says(
    'a stored response is forgotten after this',
  ),
  conversationCountMax: option('conversations', integer(0, 65_536), 1024).says(
    'conversations kept (/v1/conversations); of too many the one that nobody used for longest is forgotten',
  ),
  conversationCountPerKeyMax: option('conversations-per-key', integer(0, 65_536), 512).says(
    'conversations of one API key',
  ),
  conversationStoreSizeMax: option('conversation-store-size', size(1 * KIB, 64 * GIB), 64 * MIB).says(
    'text of all conversations together',
  ),
  conversationTtlMs: option('conversation-ttl-ms', integer(1000, 8760 * HOUR_MS), 720 * HOUR_MS).says(
    'a conversation that nobody used for this long is forgotten',
  ),
};
