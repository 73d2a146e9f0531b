// GET /openapi.json: the table of routes as an OpenAPI 3.1 document, bodies made from the very schemas that check them.
// What a schema refuses by code (a refinement) stands in the documents only. Before it: door.ts's table of routes.
import { z } from 'zod';
import { type Route, routesIn } from './route.ts';

const table = routesIn('models');

const PATH = '/openapi.json';
const JSON_TYPE = 'application/json';
const STREAM_TYPES = { events: 'text/event-stream', lines: 'application/x-ndjson' } as const;

export interface OpenApiFacts {
  readonly version: string; // of the package
  readonly keyed: boolean; // requests need an API key
}

/** The route that tells of `routes` and of itself. The document is made when it is first asked for. */
export function openApiRoute(routes: readonly Route[], facts: OpenApiFacts): Route {
  let document: object | null = null;
  const own: Route = table.get(PATH, 'This document', (call) => {
    document ??= openApiDocument([...routes, own], facts);
    call.reply(200, document);
  });
  return own;
}

function openApiDocument(routes: readonly Route[], { version, keyed }: OpenApiFacts): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:\*?/, '{id}').replace(/:/, '{item_id}');
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] ??= operationOf(route, path, keyed);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sparklane',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Unknown fields are ignored, null counts as absent. The WebSockets /v1/sparklane and /v1/responses are described in PROTOCOL.md.',
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(({ about }) => about.group))].map((name) => ({ name })),
    paths,
    components: {
      schemas: { Error: ERROR },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        header: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
    },
  };
}

function operationOf(route: Route, path: string, keyed: boolean): object {
  const { about } = route;
  const body = about.body === undefined ? null : jsonSchemaOf(about.body);
  const parameters = [
    ...Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => ({
      ...{ name, in: 'path', required: true, schema: { type: 'string' } },
    })),
    ...Object.entries(about.query ?? {}).map(([name, description]) => ({
      ...{ name, description, in: 'query', schema: { type: 'string' } },
    })),
  ];
  const failure = route.errorBody === undefined ? { $ref: '#/components/schemas/Error' } : { type: 'object' };
  return {
    operationId: `${route.method.toLowerCase()}${path.replace(/[^A-Za-z0-9]+/g, '_')}`.replace(/_$/, ''),
    summary: about.summary,
    tags: [about.group],
    ...(keyed && !route.open && { security: [{ bearer: [] }, { header: [] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== null && { requestBody: { required: true, content: { [JSON_TYPE]: { schema: body } } } }),
    responses: {
      '200': { description: about.summary, content: answerTypes(about.answers) },
      default: {
        description: 'Refused or failed: what is wrong, with the field and its bound',
        content: { [JSON_TYPE]: { schema: failure } },
      },
    },
  };
}

function answerTypes(answers: Route['about']['answers']): object {
  if (answers === 'text') return { 'text/plain': { schema: { type: 'string' } } };
  return {
    [JSON_TYPE]: { schema: {} },
    ...(answers !== undefined && { [STREAM_TYPES[answers]]: { schema: { type: 'string' } } }),
  };
}

/** What a caller may send: before defaults and transformations. */
function jsonSchemaOf(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}

const ERROR = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'code'],
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: { type: ['string', 'null'], description: 'the field' },
        code: { type: ['string', 'null'], description: 'one of those in docs/protocol/http.md' },
      },
    },
  },
} as const;
