/** The contract as an OpenAPI 3.1 document, from the schemas that validate and the catalogue that answers. */
import { z } from 'zod';
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject, type ZodOpenApiResponsesObject } from 'zod-openapi';
import { refusalKinds } from '../../sale/types.js';
import { catalogue, type ProblemCode } from './problems.js';
import * as schemas from './schemas.js';

type Document = ReturnType<typeof createDocument>;

const eventPath = z.object({ event_id: schemas.id });
const purchasePath = z.object({ event_id: schemas.id, purchase_id: schemas.id });
const keyHeader = z.object({
  'Idempotency-Key': z
    .string()
    .optional()
    .meta({ description: '16 to 255 visible ASCII characters, bare or as a quoted string: the same key buys once' }),
});
const location = z.object({ Location: z.string() });
const bought = location.extend({ 'Idempotency-Replayed': z.literal('true').optional() });
/** Headers that a refusal carries, by its status. */
const refusalHeaders: Readonly<Record<string, z.ZodObject>> = {
  '401': z.object({ 'WWW-Authenticate': z.string() }),
  '429': z.object({ 'Retry-After': z.string().meta({ description: 'Seconds' }) }),
  '503': z.object({ 'Retry-After': z.string().meta({ description: 'Seconds' }) }),
};
const admin = [{ adminToken: [] }];

const json = <S extends z.ZodType>(schema: S) => ({ content: { 'application/json': { schema } } });
const body = <S extends z.ZodType>(schema: S) => ({ requestBody: { required: true, ...json(schema) } });
const ok = <S extends z.ZodType>(description: string, schema: S) => ({ '200': { description, ...json(schema) } });
const created = <S extends z.ZodType>(description: string, schema: S, headers: z.ZodObject = location) => ({
  '201': { description, headers, ...json(schema) },
});

/** Refusals by status, each naming its codes. */
function refusals(...codes: ProblemCode[]): ZodOpenApiResponsesObject {
  const responses: ZodOpenApiResponsesObject = {};
  for (const code of [...codes, 'rate-limited', 'internal-error', 'overloaded'] as const) {
    const status = String(catalogue[code].status) as '400';
    const line = `\`${code}\`: ${catalogue[code].title}`;
    const before = responses[status] as { description: string } | undefined;
    responses[status] = {
      description: before ? `${before.description}; ${line}` : line,
      content: { 'application/problem+json': { schema: schemas.problem } },
      ...(refusalHeaders[status] && { headers: refusalHeaders[status] }),
    };
  }
  return responses;
}

const withBody = ['validation', 'body-too-large', 'unsupported-media-type'] as const;

function operation(summary: string, rest: Omit<ZodOpenApiOperationObject, 'summary'>): ZodOpenApiOperationObject {
  return { summary, ...rest };
}

const adminPaths: ZodOpenApiPathsObject = {
  '/admin/events': {
    get: operation('List events, newest first', {
      security: admin,
      requestParams: { query: schemas.page },
      responses: { ...ok('A page of events', schemas.eventPage), ...refusals('validation', 'unauthorized') },
    }),
    post: operation('Make an event', {
      security: admin,
      ...body(schemas.newEvent),
      responses: { ...created('The event', schemas.event), ...refusals(...withBody, 'unauthorized', 'outcome-unknown') },
    }),
  },
  '/admin/events/{event_id}': {
    get: operation('Show an event with its sales', {
      security: admin,
      requestParams: { path: eventPath },
      responses: { ...ok('The event', schemas.eventForAdmin), ...refusals('validation', 'unauthorized', 'event-not-found') },
    }),
    patch: operation('Change the name or the limit of an event', {
      security: admin,
      requestParams: { path: eventPath },
      ...body(schemas.eventChange),
      responses: {
        ...ok('The event', schemas.event),
        ...refusals(...withBody, 'unauthorized', 'event-not-found', 'quota-fixed', 'outcome-unknown'),
      },
    }),
  },
  '/admin/events/{event_id}/audit': {
    get: operation('Count the rows and compare: available + held + sold = total_quota, tickets = sold', {
      security: admin,
      requestParams: { path: eventPath },
      responses: { ...ok('The books', schemas.audit), ...refusals('validation', 'unauthorized', 'event-not-found') },
    }),
  },
};

const buyerPaths: ZodOpenApiPathsObject = {
  '/events': {
    get: operation('List events, newest first', {
      requestParams: { query: schemas.page },
      responses: { ...ok('A page of events', schemas.eventPage), ...refusals('validation') },
    }),
  },
  '/events/{event_id}': {
    get: operation('Show an event with what is left of it, in real time', {
      requestParams: { path: eventPath },
      responses: { ...ok('The event', schemas.event), ...refusals('validation', 'event-not-found') },
    }),
  },
  '/events/{event_id}/purchases': {
    post: operation('Buy', {
      requestParams: { path: eventPath, header: keyHeader },
      ...body(schemas.newPurchase),
      responses: {
        ...created('The purchase, committed; with `Idempotency-Replayed: true` if the key had bought it before', schemas.purchase, bought),
        ...refusals(...withBody, ...refusalKinds, 'outcome-unknown'),
      },
    }),
  },
  '/events/{event_id}/purchases/{purchase_id}': {
    get: operation('Show a purchase; its id is the capability to read it', {
      requestParams: { path: purchasePath },
      responses: { ...ok('The purchase', schemas.purchase), ...refusals('validation', 'purchase-not-found') },
    }),
  },
};

const status = z.object({ status: z.string() });
const text = (description: string, type: string) => ({ '200': { description, content: { [type]: { schema: z.string() } } } });
const problemOf = (code: ProblemCode) => ({
  [String(catalogue[code].status)]: {
    description: `\`${code}\`: ${catalogue[code].title}`,
    content: { 'application/problem+json': { schema: schemas.problem } },
  },
});

const operationsPaths: ZodOpenApiPathsObject = {
  '/healthz': { get: operation('Does the process run', { responses: ok('It does', status) }) },
  '/readyz': {
    get: operation('Should this replica get traffic', { responses: { ...ok('It should', status), ...problemOf('not-ready') } }),
  },
  '/metrics': { get: operation('Metrics for Prometheus', { responses: text('Prometheus text', 'text/plain') }) },
  '/openapi.json': { get: operation('This document', { responses: { ...ok('OpenAPI 3.1', z.looseObject({})), ...refusals() } }) },
  '/docs': { get: operation('This document for people', { responses: { ...text('A page', 'text/html'), ...refusals() } }) },
};

const tagged = (tag: string, paths: ZodOpenApiPathsObject): ZodOpenApiPathsObject =>
  Object.fromEntries(
    Object.entries(paths).map(([path, item]) => [
      path,
      Object.fromEntries(Object.entries(item).map(([method, found]) => [method, { tags: [tag], ...(found as ZodOpenApiOperationObject) }])),
    ]),
  );

export function openApiDocument(): Document {
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'onsale',
      version: '0.1.0',
      description:
        'Sells exactly the tickets that there are. Errors are application/problem+json; `code` is the word to switch on. ' +
        'Where the replica has a port for operations, /healthz, /readyz and /metrics are there and not here.',
    },
    servers: [{ url: '/' }],
    paths: { ...tagged('buyer', buyerPaths), ...tagged('admin', adminPaths), ...tagged('operations', operationsPaths) },
    components: { securitySchemes: { adminToken: { type: 'http', scheme: 'bearer' } } },
  });
}
