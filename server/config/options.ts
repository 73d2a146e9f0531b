// Every option of the server, declared once: type with bounds, default, help. The CLI derives its flags from this
// table, config.ts reads flags, environment and file through it, `sparklane serve --help` prints it. Data only.
import type { z } from 'zod';
import { precisions } from '../../models/graph/precision.ts';
import { GRAMMAR_OPTIONS } from './grammar-options.ts';
import { type Option, option } from './option.ts';
import {
  among,
  duration,
  GIB,
  identifier,
  integer,
  KIB,
  key,
  list,
  MIB,
  network,
  nodeName,
  orNull,
  real,
  redisUrl,
  size,
  text,
} from './option-domains.ts';

const HOUR_MS = 3_600_000;

export const OPTIONS = {
  host: option('host', text(255), '127.0.0.1').says(
    'address to listen on; anything but loopback needs an API key',
  ),
  port: option('port', integer(0, 65_535), 8080).says('TCP port; 0 takes any free one'),
  listener: option('listener', among(['auto', 'uws', 'node']), 'auto').says(
    'what holds the sockets: uWebSockets.js, node:http and ws (HTTP/1.0 too), or the first of them that loads',
  ),
  model: option('model', text(4096), 'smollm2-135m-instruct').says(
    'name of an embedded model, a model directory, a GGUF file, or OWNER/NAME of the hub, which is pulled if it is not in the cache',
  ),
  aliases: option('alias', list(text(256), 64), []).says(
    'other name that the model answers to and is listed under, or claude-* for all that begin so; repeatable',
  ),
  lora: option('lora', list(text(4096), 16), []).says(
    'adapter merged into the model: a PEFT directory or a GGUF file, with =SCALE behind it for more or less of it; repeatable',
  ),
  temperature: option('temperature', orNull('model', real(0, 100)), null).says(
    'for requests that do not say; 0 is greedy; "model" is its author\'s advice, else 0.3',
  ),
  topP: option('top-p', orNull('model', real(0, 1)), null).says('likewise; 1 is off; else 0.95'),
  topK: option('top-k', orNull('model', integer(0, 2 ** 31 - 1)), null).says('likewise; 0 is off; else 40'),
  minP: option('min-p', orNull('model', real(0, 1)), null).says('likewise; 0 is off; else 0.05'),
  repetitionPenalty: option('repetition-penalty', orNull('model', real(0.01, 100)), null).says(
    'likewise; 1 is off, and without advice it is',
  ),
  ...GRAMMAR_OPTIONS,
  backend: option('backend', identifier(), 'cpu').says(
    'device that computes: cpu, or webgpu for a GPU; or a simulated one: sim, wse3, wse3x4, h100, h100x2, h200, b200, a100',
  ),
  simModel: option('sim-model', text(4096), 'llama-3.1-8b', 'SIM_MODEL').says(
    'simulated chips: the model they run, see `sparklane devices`, or a directory with a config.json',
  ),
  simPrecision: option(
    'sim-precision',
    orNull('auto', among(['fp16', 'bf16', 'fp8', 'int8', 'int4', 'nvfp4', 'mxfp4'])),
    null,
  ).says('simulated chips: format of the weights; auto is the one that the model is published in'),
  simWeights: option('sim-weights', among(['resident', 'streamed']), 'resident').says(
    'simulated wafers: all weights on them, or those that do not fit streamed from external memory in every step',
  ),
  simText: option('sim-text', among(['noise', 'model']), 'noise').says(
    'simulated chips: answer with meaningless tokens, or with those of --model computed on the cpu',
  ),
  precision: option('precision', among(['auto', ...precisions]), 'auto').says(
    'number format of the weights; auto takes the measured best for the model',
  ),
  kernels: option('kernels', among(['auto', 'own', 'onnxruntime']), 'auto').says(
    'cpu: whose operators compute attention and int8, int4 and stored weights; auto takes our own where there are some for the processor',
  ),
  draftModel: option('draft-model', orNull('none', text(4096)), null).says(
    'small model with the same tokenizer that guesses ahead: a name or a directory, like --model',
  ),
  draftPrecision: option('draft-precision', among(['auto', ...precisions]), 'auto').says(
    'number format of its weights',
  ),
  kvPrecision: option('kv-precision', among(['fp32', 'int8']), 'fp32').says(
    'number format of keys and values; int8 takes a quarter of the memory, and less time behind long contexts',
  ),
  replicas: option('replicas', integer(1, 64), 1).says('independent decoders; a sequence stays on one'),
  threads: option('threads', orNull('auto', integer(1, 256)), null).says(
    'threads of all replicas together; auto is 2, or one per replica if that is more',
  ),
  slots: option('slots', integer(1, 1024), 16).says('sequences a replica decodes at the same time'),
  keepSeats: option('keep-seats', among(['on', 'off']), 'on').says(
    'cpu: a slot that nobody needs keeps the KV of its last answer while the prefix cache has it too, so that the next turn goes on there without a copy',
  ),
  contextTokens: option('context-tokens', orNull('model', integer(16, 1_048_576)), null).says(
    'longest sequence, prompt and output together; "model" takes what the model and the KV cache allow',
  ),
  blockSize: option('block-size', integer(1, 256), 16).says('tokens per block of the prefix cache'),
  kvCacheSizeMax: option('kv-cache-size', orNull('auto', size(1 * MIB, 1024 * GIB)), null).says(
    'memory for KV blocks, in bytes or as 512MiB; auto is 1GiB, or more where a sequence of --context-tokens (else of 16384) needs it',
  ),
  deviceKvSizeMax: option('device-kv-size', size(1 * MIB, 1024 * GIB), 2 * GIB).says(
    'webgpu: memory of the device for the KV of its seats, all of it taken at start, in bytes or as 512MiB',
  ),
  // Off unless asked for: what conversations were about can be told from their KV, and disks wear.
  kvDiskSizeMax: option('kv-disk-size', size(0, 64 * 1024 * GIB), 0).says(
    'disk space for KV blocks that outlive memory and restarts, such as 8GiB; 0 keeps none',
  ),
  kvDiskDirectory: option('kv-disk-directory', orNull('cache', text(4096)), null).says(
    'where they go; "cache" is kv in the cache directory',
  ),
  prefillChunkTokens: option('prefill-chunk-tokens', integer(1, 8192), 128).says(
    'prompt tokens computed per step; a multiple of the block size',
  ),
  decodeRounds: option('decode-rounds', integer(1, 256), 32).says(
    'tokens that a replica may draw at a stretch while nothing else waits for it',
  ),
  // Waking the server and its reader costs a token of a small model, a seventh of one of 135 M; nobody sees 20 ms.
  streamIntervalMs: option('stream-interval', integer(0, 1000), 20).says(
    'ms within which the tokens of such a stretch are told together, after the first; 0 tells each at once',
  ),
  queueLengthMax: option('queue-length', integer(0, 65_536), 256).says('sequences that may wait for a slot'),
  connectionCountMax: option('connections', integer(1, 65_536), 1024).says(
    'open HTTP requests and WebSockets together',
  ),
  // Sockets that may bring their key in the first frame have shown none yet; they must not use up what key holders need.
  ungreetedSocketCountMax: option('ungreeted-sockets', integer(0, 65_536), 32).says(
    'WebSockets that may be open before they have shown an API key, where one is needed',
  ),
  choiceCountMax: option('choices', integer(1, 128), 16).says('largest n of a request'),
  promptCountMax: option('prompts', integer(1, 2048), 64).says('prompts in one completions request'),
  modelsDirectory: option('models-dir', orNull('none', text(4096)), null).says(
    'directory whose models are served too, each loaded when a request names it: GGUF files and model directories, also as OWNER/NAME',
  ),
  modelsMemoryMax: option('models-memory-max', orNull('machine', size(16 * MIB, 16 * 1024 * GIB)), null).says(
    'memory of all models together, weights and KV; the least recently used makes room; "machine" is four fifths of it',
  ),
  idleUnloadMs: option('idle-unload', orNull('never', duration(0, 720 * 3_600_000)), null).says(
    'a model that nobody used for this long is unloaded, such as 5m; a request may say otherwise with keep_alive',
  ),
  embeddingInputsMax: option('embedding-inputs', integer(1, 65_536), 2048).says(
    'texts of one embeddings request',
  ),
  embeddingTokensMax: option('embedding-tokens', integer(1, 16_777_216), 300_000).says(
    'tokens of one embeddings request, all its texts together',
  ),
  node: option('node', orNull('none', nodeName()), null).says(
    'name of this node among several; ids of sessions, responses and conversations then begin with it, so that proxies find it',
  ),
  cluster: option('cluster', orNull('none', redisUrl()), null).says(
    'Redis or Valkey through which sessions, stored responses and conversations outlive their node, such as redis://127.0.0.1:6379; off by default',
  ),
  clusterStoreSizeMax: option('cluster-store-size', size(1 * MIB, 1024 * GIB), 256 * MIB).says(
    'stored responses of all nodes there, and as much again of conversations; the oldest go first',
  ),
  clusterKvSizeMax: option('cluster-kv-size', size(0, 1024 * GIB), 256 * MIB).says(
    'KV blocks of all nodes there, so that who takes over a session need not compute it again; the least used go first; 0 shares none',
  ),
  clusterKvTtlMs: option('cluster-kv-ttl-ms', integer(1000, 168 * HOUR_MS), HOUR_MS).says(
    'how long they are kept without use',
  ),
  engineMetrics: option('engine-metrics', among(['sparklane', 'vllm']), 'sparklane').says(
    'names of the gauges that routers read; vllm adds them under its names',
  ),
  kvEvents: option('kv-events', orNull('none', text(255)), null).says(
    'where cached blocks are told to routers in the form of vLLM, such as tcp://127.0.0.1:5557; needs the package zeromq',
  ),
  kvEventsReplay: option('kv-events-replay', orNull('none', text(255)), null).says(
    'where routers that come late ask for what was told before, such as tcp://127.0.0.1:5558',
  ),
  kvEventsTopic: option('kv-events-topic', orNull('none', text(255)), null).says(
    'topic of these events, such as kv@pod@model; none is the empty one',
  ),
  kvEventsKept: option('kv-events-kept', integer(1, 1_000_000), 10_000).says(
    'latest batches kept for replay',
  ),
  headerSizeMax: option('header-size', size(1 * KIB, 1 * MIB), 16 * KIB).says(
    'largest head of an HTTP request: its line and headers together',
  ),
  // Reading JSON takes 1 to 2 ms a MiB, and nobody else is served meanwhile. A million tokens of text fit.
  bodySizeMax: option('body-size', size(1 * KIB, 1 * GIB), 4 * MIB).says('largest HTTP request body'),
  // Each costs time to parse and to check, more than its bytes do.
  bodyValuesMax: option('body-values', integer(1024, 64 * MIB), 128 * KIB).says(
    'values (numbers, texts …) in one body or frame; a member of an object counts five times',
  ),
  tokenizeSizeMax: option('tokenize-size', integer(1024, 64 * MIB), 256 * KIB).says(
    'characters that /tokenize and /apply-template take, and eight times the tokens of /detokenize, in one request',
  ),
  frameSizeMax: option('frame-size', size(1 * KIB, 1 * GIB), 4 * MIB).says(
    'largest incoming WebSocket message',
  ),
  streamBufferSizeMax: option('stream-buffer-size', size(1 * KIB, 1 * GIB), 256 * KIB).says(
    'unread bytes of one connection at which its generation pauses',
  ),
  sendBufferSizeMax: option('send-buffer-size', size(1 * KIB, 4 * GIB), 16 * MIB).says(
    'unread bytes of one connection at which it is closed',
  ),
  requestTimeoutMs: option('request-timeout-ms', integer(1, 24 * HOUR_MS), 600_000).says(
    'a request fails after this',
  ),
  drainTimeoutMs: option('drain-timeout-ms', integer(0, HOUR_MS), 30_000).says(
    'wait for open requests at shutdown',
  ),
  stepTimeoutMs: option('step-timeout-ms', integer(1, HOUR_MS), 60_000).says(
    'a device step that takes longer is hung',
  ),
  // uWebSockets.js takes 8 to 960 seconds and counts in steps of 4.
  idleTimeoutSeconds: option('idle-timeout-seconds', integer(8, 960), 120).says(
    'a WebSocket that is dead is closed',
  ),
  sessionCountMax: option('sessions', integer(1, 65_536), 256).says('native sessions kept at the same time'),
  sessionCountPerKeyMax: option('sessions-per-key', integer(1, 65_536), 64).says(
    'native sessions of one API key',
  ),
  unsentTokensMax: option('unsent-tokens', integer(1, 65_536), 256).says(
    'tokens a native session holds for a slow reader before its generation pauses',
  ),
  replayTokensMax: option('replay-tokens', integer(0, 1_048_576), 4096).says(
    'latest tokens of a native answer that are kept after they were sent',
  ),
  sessionIdleTimeoutMs: option('session-idle-timeout-ms', integer(1000, 24 * HOUR_MS), 1_800_000).says(
    'a native session without traffic is dropped',
  ),
  sessionTokensMax: option('session-tokens', orNull('context', integer(1, 1_048_576)), null).says(
    'tokens one native session may hold; "context" is as long as a sequence',
  ),
  speculation: option('speculation', among(['auto', 'unseeded', 'asked', 'on', 'off']), 'auto').says(
    'guess tokens ahead where that pays: for all, for requests without a seed, for those that ask or predict, for none; "auto" is for all unless guesses may round otherwise (--invariance none)',
  ),
  invariance: option('invariance', orNull('auto', among(['none', 'guesses', 'full'])), null).says(
    'what never moves a bit of an answer: "guesses", being computed as if each came alone; "full", also what of an earlier answer is still in memory; "none": guesses cost less, and a near tie may turn; "auto" is "guesses", and "full" with --cluster, where answers go on at other nodes',
  ),
  rememberedTokensMax: option('remembered-tokens', integer(0, 1_048_576), 32_768).says(
    "tokens of an API key's earlier answers that are kept to guess from, until --session-idle-timeout-ms passes or their session ends; 0: none",
  ),
  rememberedKeyCountMax: option('remembered-keys', integer(1, 65_536), 64).says(
    'API keys of which answers are kept, those that asked last',
  ),
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
  apiKeys: option('api-key', list(key(), 256), [], 'SPARKLANE_API_KEY').says(
    'key that callers must present; repeatable',
  ),
  apiKeyFile: option('api-key-file', orNull('none', text(4096)), null).says(
    'file with more such keys, one a line; # begins a comment',
  ),
  adminKey: option('admin-key', orNull('none', key()), null).says(
    'key for what changes the server (POST /admin/backend); without it nobody may where API keys are set, else anybody',
  ),
  adminKeyFile: option('admin-key-file', orNull('none', text(4096)), null).says(
    'file with that key, instead of --admin-key',
  ),
  corsOrigins: option('cors-origin', list(text(255), 64), []).says(
    'web origin that may call; repeatable, * is any',
  ),
  trustedProxies: option('trusted-proxies', list(network(), 64), []).says(
    'address or network of a proxy whose X-Forwarded-For, -Proto and -Host are believed; repeatable',
  ),
  cacheDirectory: option('cache-directory', orNull('user', text(4096)), null, 'SPARKLANE_CACHE').says(
    'built graphs; "user" is sparklane in the cache directory of the user',
  ),
  ui: option('ui', among(['on', 'off']), 'on').says(
    'the page at GET /: playground and what the server is doing; --no-ui is the same as off',
  ),
  uiViewerCountMax: option('ui-viewers', integer(1, 1024), 32).says(
    'pages that may watch what the server is doing at the same time',
  ),
  uiText: option('ui-text', among(['off', 'on']), 'off').says(
    'the page may show the text of the native sessions of its own API key; without keys it never does',
  ),
  lanes: option('lanes', orNull('none', text(4096)), null).says(
    'JSON file of lanes, between which requests are routed by model: "auto"; without it all go to the model',
  ),
  // Off unless asked for: a record of how somebody works is theirs to begin, and no upgrade may begin one for them.
  outcomesDb: option('outcomes-db', text(4096), 'off').says(
    'record of tasks and their outcomes (SQLite): off, "cache" for outcomes.db in the cache directory, or a path',
  ),
  outcomesDays: option('outcomes-days', integer(1, 3650), 90).says('days for which a quiet task is kept'),
  outcomesRowsMax: option('outcomes-rows', integer(10_000, 100_000_000), 500_000).says(
    'tasks, events and requests kept together; quiet tasks go first, of the key that has the most',
  ),
  outcomesQueueMax: option('outcomes-queue', integer(16, 1_000_000), 4096).says(
    'observations that wait to be written; more are dropped and counted',
  ),
  outcomesText: option('outcomes-text', among(['off', 'on']), 'off').says(
    'keep titles and notes of tasks; off keeps numbers and names only, never what was said',
  ),
  // For tests of whole servers: whoever may ask can make every answer fail.
  deviceFaults: option('device-faults', among(['off', 'on']), 'off').says(
    'for tests: POST /admin/fault makes the cpu device die, hang, fail or draw no number in its next step',
  ),
  logLevel: option('log-level', among(['silent', 'error', 'warn', 'info', 'debug']), 'info').says(
    'least severe log line',
  ),
  seed: option('seed', orNull('random', integer(0, 2 ** 32 - 1)), null).says(
    'makes ids and drawn seeds repeat',
  ),
} as const satisfies Readonly<Record<string, Option<unknown>>>;

export type OptionName = keyof typeof OPTIONS;
export type OptionValues = { readonly [K in OptionName]: z.output<(typeof OPTIONS)[K]['type']> };

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[];

/** Where the JSON file with more options comes from; not an option itself. */
export const CONFIG_FILE_OPTION = {
  flag: 'config',
  env: 'SPARKLANE_CONFIG',
  help: 'JSON file with options by name; flags and environment go before it',
} as const;
