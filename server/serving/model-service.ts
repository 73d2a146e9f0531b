// What one model is served with: its generator, its sessions, and the routes and sockets of every dialect. One object for each
// model, which shares nothing with another's but what it is given: the guard, the store of responses, clock and log.
// Before it: app.ts; after it: the rooms of server/.
import type { Backend } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import type { Random } from '../../kernels/random.ts';
import { fault } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { OtherModel } from '../chat/catalogue-model.ts';
import type { ChatService } from '../chat/chat-service.ts';
import type { DescribedService } from '../chat/described-service.ts';
import { localAnswering } from '../chat/local-answering.ts';
import type { NamedModel } from '../chat/model-name.ts';
import { PromptEncoder } from '../chat/prompt-encoder.ts';
import { PromptTrail } from '../chat/prompt-trail.ts';
import type { Shares } from '../cluster/open-cluster.ts';
import type { Config } from '../config/config.ts';
import { type EmbeddingService, embeddingRoutes } from '../embeddings/routes.ts';
import type { SequenceEngine } from '../engine/request.ts';
import type { EngineLoad } from '../engine/seats.ts';
import { AnswerLog, type AnswerReport } from '../generation/answer-log.ts';
import { AnswerMemories, type MemoryBounds } from '../generation/answer-memories.ts';
import type { DraftingBounds } from '../generation/drafting.ts';
import { type IncrementalText, TextGenerator, type TextOptions } from '../generation/generation.ts';
import { GrammarCompiler } from '../grammar/compiler.ts';
import type { SocketRoute } from '../http/door.ts';
import type { Guard } from '../http/guard.ts';
import type { HttpCall } from '../http/http-call.ts';
import type { Route } from '../http/route.ts';
import type { Lanes } from '../lanes/lanes.ts';
import { llamaCompletionRoute } from '../llama/completion.ts';
import { infillRoutes } from '../llama/infill.ts';
import { notServedRoutes } from '../llama/not-served.ts';
import { llamaServerRoutes } from '../llama/props.ts';
import { tokenizeRoutes } from '../llama/tokenize.ts';
import type { MessagesService } from '../messages/messages-service.ts';
import { withMessagesModels } from '../messages/model-list.ts';
import { messagesRoutes } from '../messages/routes.ts';
import { openNative } from '../native/connection.ts';
import { reasoningSplit } from '../native/reasoning-split.ts';
import { SESSIONS_PER_CONNECTION_MAX } from '../native/session-desk.ts';
import { ollamaRoutes } from '../ollama/routes.ts';
import { chatRoutes } from '../openai/chat.ts';
import { completionRoute } from '../openai/completions.ts';
import { modelRoutes } from '../openai/models.ts';
import { otherServersRoutes } from '../openai/other-servers.ts';
import { conversationRoutes } from '../responses/conversation-routes.ts';
import type { ConversationStore } from '../responses/conversation-store.ts';
import { Delegations } from '../responses/delegations.ts';
import { goOn } from '../responses/go-on.ts';
import type { ResponseRecord } from '../responses/response-record.ts';
import type { ResponsesService } from '../responses/responses-service.ts';
import { responseRoutes } from '../responses/routes.ts';
import type { SharedPast } from '../responses/shared-past.ts';
import { openResponsesSocket } from '../responses/socket.ts';
import type { ResponseStore } from '../responses/store.ts';
import { SessionTable } from '../sessions/session-table.ts';
import type { TranscriptModel } from '../sessions/transcript.ts';
import type { Residence } from '../shelf/shelf.ts';
import { type EncodeElsewhere, LongTexts } from '../text/long-texts.ts';
import type { ServedModel } from '../text/served-model.ts';
import { toolSyntaxOf } from '../tools/dialect.ts';
import { fingerprintOf } from './fingerprint.ts';

export interface ModelParts {
  readonly config: Config; // the model's own where it has settings of its own
  readonly version: string; // of the package
  readonly model: ServedModel & TranscriptModel; // models/model.ts makes one
  readonly openText: (options?: TextOptions) => IncrementalText; // a Detokenizer of that model
  readonly backend: Pick<Backend, 'name' | 'adapter' | 'limits'>; // the present one: may be another later
  readonly onAnswer?: (report: AnswerReport) => void; // hears of every answer that has ended
  readonly answerPage?: (call: HttpCall) => void; // GET / of browsers; without it there is no page
  readonly lanes?: Lanes | null; // where requests are routed; without them all go to the model
  readonly openEmbeddings?: ((texts: LongTexts) => EmbeddingService['desk']) | null; // without it the model does not embed
  readonly others?: () => readonly OtherModel[]; // that the server has beside it
  readonly residence?: () => Residence; // whether it is in memory; without it, it always is
  readonly encodeElsewhere?: EncodeElsewhere; // long texts; without it all are tokenised here
  readonly engine: SequenceEngine & { readonly load: Pick<EngineLoad, 'seats'> };
  readonly clock: Clock;
  readonly epochMs: () => number; // time of day
  readonly random: Random;
  readonly freshId: () => string; // never repeats, nobody can guess it
  readonly cluster?: Shares | null; // through which what it keeps outlives its node
  readonly log: Log;
}

/** What the models of a server share. */
export interface SharedParts {
  readonly guard: Guard;
  readonly store: ResponseStore;
  readonly conversations: ConversationStore;
  readonly shared: SharedPast | null; // with other nodes
}

export interface ModelService {
  readonly model: NamedModel;
  readonly routes: readonly Route[];
  readonly sockets: readonly SocketRoute[];
  readonly texts: LongTexts;
  readonly sessions: SessionTable;
}

const LOGPROBS_MAX = 20; // OpenAI's bound; a device may report fewer
const WEBSOCKET_OFF = fault('websocket_off', 'the WebSocket mode of this server is switched off: use POST');

export function createModelService(parts: ModelParts, shared: SharedParts): ModelService {
  const { guard } = shared;
  const { tokenizer, chatTemplate } = parts.model;
  const texts = new LongTexts(tokenizer, parts.encodeElsewhere ?? null, chatTemplate);
  const configured = asConfigured(parts);
  const server = {
    ...parts,
    model: { ...configured, tokenizer: texts.tokenizer, chatTemplate: texts.chatTemplate },
  };
  const { config, engine, model, clock, random, log } = server;
  const answerLog = new AnswerLog(clock, log, parts.onAnswer ?? null);
  const generator = new TextGenerator({
    engine,
    memories: new AnswerMemories(memoryBounds(config), clock),
    stopTokenIds: model.spec.eosTokenIds,
    openText: server.openText,
    random,
    watch: (request, sink) => answerLog.watch(request, sink, model.name),
  });
  const logprobsMax = Math.min(LOGPROBS_MAX, server.backend.limits.logprobsMax);
  const service = chatServiceOf(server, { generator, logprobsMax, answerLog, texts });
  const discovery = describedServiceOf(server, service);
  const responses = responsesServiceOf(server, service, shared);
  const native = nativeServiceOf(server, { generator, guard, texts, logprobsMax });
  const embeddings = { ...service, desk: server.openEmbeddings?.(texts) ?? null, bounds: config };
  return {
    model,
    texts,
    sessions: native.sessions,
    routes: [
      ...chatRoutes(service),
      completionRoute(service),
      ...infillRoutes(service),
      llamaCompletionRoute(service),
      ...embeddingRoutes(embeddings),
      ...withMessagesModels(modelRoutes(service), service),
      ...messagesRoutes(messagesServiceOf(server, service)),
      ...tokenizeRoutes(service),
      ...llamaServerRoutes(discovery),
      ...notServedRoutes,
      ...otherServersRoutes(discovery),
      ...ollamaRoutes(discovery, embeddings, server.answerPage ?? null),
      ...responseRoutes(responses),
      ...conversationRoutes(responses),
    ],
    sockets: [
      {
        path: '/v1/sparklane',
        keyFollows: true,
        open: openNative(native),
      },
      {
        path: '/v1/responses',
        keyFollows: false,
        open: openResponsesSocket(responses),
        ...(config.responsesWebSocket === 'off' && { switchedOff: WEBSOCKET_OFF }),
      },
    ],
  };
}

function memoryBounds(config: Config): MemoryBounds {
  const { rememberedTokensMax: tokensMax, rememberedKeyCountMax: keyCountMax, sessionIdleTimeoutMs } = config;
  return { tokensMax, keyCountMax, idleTimeoutMs: sessionIdleTimeoutMs };
}

/** Its names and defaults as whoever started the server wants them. */
function asConfigured({ model, config, others }: ModelParts): ModelParts['model'] {
  const { temperature, topP, topK, minP, repetitionPenalty } = config;
  const own = Object.entries({ temperature, topP, topK, minP, repetitionPenalty });
  const wanted = Object.fromEntries(own.filter(([, value]) => value !== null));
  const isPattern = (alias: string) => alias.endsWith('*');
  return {
    ...model,
    aliases: config.aliases.filter((alias) => !isPattern(alias)),
    aliasPrefixes: config.aliases.filter(isPattern).map((alias) => alias.slice(0, -1)),
    defaults: { ...model.defaults, ...wanted },
    ...(others !== undefined && { neighbours: () => others().map(({ listed }) => listed.name) }),
  };
}

function chatServiceOf(
  server: ModelParts,
  parts: Pick<ChatService, 'answerLog' | 'texts'> & {
    readonly generator: TextGenerator;
    readonly logprobsMax: number;
  },
): ChatService {
  const { generator, logprobsMax, answerLog } = parts;
  const { config, model, clock, freshId } = server;
  const { spec, tokenizer } = model;
  const stopTokenIds = spec.eosTokenIds;
  const { vocabSize } = spec;
  const compiler = new GrammarCompiler({ tokenizer, vocabSize, stopTokenIds, clock }, config);
  // No request has to wait for it: 0.1 s for a small vocabulary, 0.4 s for a large one.
  clock.defer(() => compiler.warmUp());
  const local = {
    model,
    forms: { compiler, toolSyntax: toolSyntaxOf(model) },
    prompts: new PromptEncoder(tokenizer),
    trail: new PromptTrail(tokenizer),
    generator,
    clock,
    bounds: {
      ...config,
      logprobsMax,
      draftsUnasked: draftsUnasked(config),
      get draftTokensMax() {
        return draftTokensMax(server);
      },
    },
    get fingerprint() {
      return fingerprintOf(server);
    },
  };
  return {
    ...local,
    answering: localAnswering(local),
    texts: parts.texts,
    answerLog,
    lanes: server.lanes ?? null,
    ...(server.others !== undefined && { others: server.others }),
    ...(server.residence !== undefined && { residence: server.residence }),
    startedSeconds: seconds(server.epochMs()),
    epochSeconds: () => seconds(server.epochMs()),
    freshId,
  };
}

function describedServiceOf(
  { version, config, backend, engine }: ModelParts,
  service: ChatService,
): DescribedService {
  return {
    ...service,
    about: {
      version,
      precision: config.precision === 'auto' ? 'unknown' : config.precision,
      get device() {
        return backend.adapter === undefined ? backend.name : `${backend.name}: ${backend.adapter}`;
      },
      get seatCount() {
        return backend.limits.replicaCount * backend.limits.slotCount;
      },
      get slotCount() {
        return backend.limits.slotCount;
      },
      get seats() {
        return engine.load.seats;
      },
    },
  };
}

function responsesServiceOf(
  { config, cluster = null }: ModelParts,
  service: ChatService,
  shared: SharedParts,
): ResponsesService {
  const repeats = cluster?.repeats ?? null; // of the server's own model only
  const made: ResponsesService = {
    ...service,
    store: shared.store,
    conversations: shared.conversations,
    shared: shared.shared,
    repeats,
    delegations: new Delegations(),
    socket: {
      ageMaxMs: config.responsesSocketAgeMaxMs,
      valuesMax: config.bodyValuesMax,
      queuedSizeMax: 2 * config.frameSizeMax,
      bufferSizeMax: config.streamBufferSizeMax,
    },
  };
  if (repeats !== null) {
    const { identity } = repeats;
    const start = (id: string, owner: string, record: ResponseRecord) => goOn({ id, owner, record }, made);
    made.shared?.responses.goOnBy({ identity, start });
  }
  return made;
}

function messagesServiceOf({ backend }: ModelParts, service: ChatService): MessagesService {
  return {
    ...service,
    get blockSize() {
      return backend.limits.blockSize;
    },
  };
}

function nativeServiceOf(
  server: ModelParts,
  parts: {
    readonly generator: TextGenerator;
    readonly guard: Guard;
    readonly texts: LongTexts;
    readonly logprobsMax: number;
  },
): Parameters<typeof openNative>[0] {
  const { config, version, model, backend, engine, clock, freshId } = server;
  const { generator, guard, texts, logprobsMax } = parts;
  const sessionTokensMax = config.sessionTokensMax ?? Number.POSITIVE_INFINITY;
  const tokensMax = () => Math.min(sessionTokensMax, engine.contextTokensMax);
  const marks = model.chatTemplate?.reasoning ?? null;
  const sessionParts = {
    model,
    newSplit: marks === null ? null : reasoningSplit(marks),
    engine,
    generator,
    texts,
    clock,
    bounds: {
      tokensMax: sessionTokensMax,
      get blockSize() {
        return backend.limits.blockSize;
      },
      unsentTokensMax: config.unsentTokensMax,
      replayTokensMax: config.replayTokensMax,
    },
  };
  const noPenalties = { frequencyPenalty: 0, presencePenalty: 0 };
  const directory = server.cluster?.sessions ?? null;
  const sessions = new SessionTable({ ...sessionParts, keeper: directory }, config, freshId);
  directory?.serve(sessions);
  return {
    clock,
    sessions,
    bring: directory?.bring ?? null,
    hello: {
      server: `sparklane/${version}`,
      model: model.name,
      get device() {
        return backend.name;
      },
      limits: {
        get contextTokensMax() {
          return tokensMax();
        },
        frameSizeMax: config.frameSizeMax,
        sessionCountMax: SESSIONS_PER_CONNECTION_MAX,
        sessionIdleSeconds: config.sessionIdleTimeoutMs / 1000,
        replayTokensMax: config.replayTokensMax,
        logprobsMax,
      },
      features: {
        chat: model.chatTemplate !== null,
        fillInTheMiddle: model.fim !== null,
        ...(marks !== null && { reasoning: true }),
      },
    },
    question: {
      vocabSize: model.spec.vocabSize,
      logprobsMax,
      timeoutMs: config.requestTimeoutMs,
      draftsUnasked: draftsUnasked(config),
      get draftTokensMax() {
        return draftTokensMax(server);
      },
      get contextTokensMax() {
        return tokensMax();
      },
      encode: (text) => model.tokenizer.encode(text),
      defaults: { ...noPenalties, ...model.defaults },
    },
    bufferSizeMax: config.streamBufferSizeMax,
    texts,
    waitingSizeMax: 2 * config.frameSizeMax,
    valuesMax: config.bodyValuesMax,
    onCrash: (err) => server.log.error('a message failed', { err }),
    ownerOf: (apiKey) => guard.ownerOf(apiKey),
  };
}

// What depends on the device is asked for each time: it may be another one later.
function draftTokensMax({ config, backend }: ModelParts): number {
  return config.speculation === 'off' ? 0 : backend.limits.sampleCountMax - 1;
}

function draftsUnasked({ speculation, invariance }: Config): DraftingBounds['draftsUnasked'] {
  if (speculation === 'auto') return invariance === 'none' ? 'unseeded' : 'all';
  if (speculation === 'unseeded') return speculation;
  return speculation === 'on' ? 'all' : 'none';
}

function seconds(epochMs: number): number {
  return Math.floor(epochMs / 1000);
}
