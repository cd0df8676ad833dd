/** Builds the OpenAPI 3.1 document from the validation schemas and the error catalogue. */
import { z } from 'zod';
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { adminPaths } from './openapiAdmin.js';
import {
  actionBody,
  body,
  created,
  eventPath,
  location,
  ok,
  operation,
  purchasePath,
  refusals,
  text,
  withAction,
  withBody,
} from './openapiParts.js';
import { catalogue, type ProblemCode } from './problems.js';
import * as schemas from './schemas.js';

type Document = ReturnType<typeof createDocument>;

const keyHeader = z.object({
  'Idempotency-Key': z
    .string()
    .optional()
    .meta({ description: '16 to 255 visible ASCII characters, bare or as a quoted string; requests with the same key buy once' }),
});
const bought = location.extend({ 'Idempotency-Replayed': z.literal('true').optional() });
const seller = [{ sellerToken: [] }, { adminToken: [] }];
/** Needed only where the operator has configured buyers' tokens. */
const buyer = [{}, { buyerToken: [] }, ...seller];

/** Of a purchase. */
const notGranted = [
  'event-not-found',
  'purchase-not-found',
  'sold-out',
  'insufficient-availability',
  'sale-not-started',
  'sale-ended',
  'buyer-limit-exceeded',
  'purchase-limit-exceeded',
  'buyer-required',
  'buyer-mismatch',
  'idempotency-key-reused',
] as const;

const buyerPaths: ZodOpenApiPathsObject = {
  '/events': {
    get: operation('List events, newest first', {
      requestParams: { query: schemas.page },
      responses: { ...ok('A page of events', schemas.eventPage), ...refusals('validation') },
    }),
  },
  '/events/{event_id}': {
    get: operation('Show an event with its availability in real time', {
      requestParams: { path: eventPath },
      responses: { ...ok('The event', schemas.event), ...refusals('validation', 'event-not-found') },
    }),
  },
  '/events/{event_id}/purchases': {
    post: operation('Buy tickets, or hold them if the event has hold_seconds', {
      security: buyer,
      requestParams: { path: eventPath, header: keyHeader },
      ...body(schemas.newPurchase),
      responses: {
        ...created('The committed purchase; with `Idempotency-Replayed: true` if an earlier request bought it', schemas.purchase, bought),
        ...refusals(...withBody, 'unauthorized', ...notGranted, 'outcome-unknown'),
      },
    }),
  },
  '/events/{event_id}/purchases/{purchase_id}': {
    get: operation('Show a purchase; knowing its id grants access to it', {
      security: buyer,
      requestParams: { path: purchasePath },
      responses: { ...ok('The purchase', schemas.purchase), ...refusals('validation', 'unauthorized', 'purchase-not-found') },
    }),
  },
  '/events/{event_id}/purchases/{purchase_id}/confirm': {
    post: operation('Confirm a held purchase: its tickets are issued', {
      security: seller,
      requestParams: { path: purchasePath },
      requestBody: actionBody,
      responses: {
        ...ok('The purchase, confirmed; the same if it is repeated', schemas.purchase),
        ...refusals(...withAction, 'hold-expired', 'hold-released', 'purchase-cancelled'),
      },
    }),
  },
  '/events/{event_id}/purchases/{purchase_id}/release': {
    post: operation('Release a held purchase: its tickets are available again', {
      security: buyer,
      requestParams: { path: purchasePath },
      requestBody: actionBody,
      responses: {
        ...ok('The purchase, released; as it is if it was released before or has expired', schemas.purchase),
        ...refusals(...withAction, 'event-not-found', 'purchase-confirmed', 'purchase-cancelled'),
      },
    }),
  },
};

const status = z.object({ status: z.string() });
const problemOf = (code: ProblemCode) => ({
  [String(catalogue[code].status)]: {
    description: `\`${code}\`: ${catalogue[code].title}`,
    content: { 'application/problem+json': { schema: schemas.problem } },
  },
});

const operationsPaths: ZodOpenApiPathsObject = {
  '/healthz': { get: operation('Liveness: the process runs', { responses: ok('It runs', status) }) },
  '/readyz': {
    get: operation('Readiness: this replica can take traffic', { responses: { ...ok('It is ready', status), ...problemOf('not-ready') } }),
  },
  '/metrics': { get: operation('Metrics for Prometheus', { responses: text('The metrics', 'text/plain') }) },
  '/openapi.json': { get: operation('This document', { responses: { ...ok('OpenAPI 3.1', z.looseObject({})), ...refusals() } }) },
  '/docs': { get: operation('This document as a web page', { responses: { ...text('The page', 'text/html'), ...refusals() } }) },
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
        'Sells tickets and never oversells. Errors are application/problem+json; clients switch on `code`. ' +
        'If OPERATIONS_PORT is set, /healthz, /readyz and /metrics are on that port and not here.',
    },
    servers: [{ url: '/' }],
    paths: { ...tagged('buyer', buyerPaths), ...tagged('admin', adminPaths), ...tagged('operations', operationsPaths) },
    components: {
      securitySchemes: {
        adminToken: { type: 'http', scheme: 'bearer', description: 'ADMIN_TOKEN' },
        sellerToken: { type: 'http', scheme: 'bearer', description: 'SELLER_TOKEN' },
        buyerToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'Its subject is the buyer_id' },
      },
    },
  });
}
