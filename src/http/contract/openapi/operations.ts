/** Probes, metrics, documentation, and the page that leads to them. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import * as schemas from '../schemas.js';
import { answerHeaders, operation, probed, probeRefusals, refusals, text, unlimitedHeaders } from './answers.js';
import { only } from './examples.js';

const status = <S extends string>(value: S) => z.looseObject({ status: z.literal(value) });

const metricsText = [
  '# HELP onsale_purchases_total Purchase requests by outcome',
  '# TYPE onsale_purchases_total counter',
  'onsale_purchases_total{outcome="sold"} 17000',
  'onsale_purchases_total{outcome="sold-out"} 4200',
  '',
].join('\n');

export const probePaths: ZodOpenApiPathsObject = {
  '/healthz': {
    get: operation('getHealth', 'Liveness: the process runs', 'It does not use the database.', {
      responses: { ...probed('The process runs', status('ok'), { status: 'ok' }), ...probeRefusals() },
    }),
  },
  '/readyz': {
    get: operation('getReadiness', 'Readiness: this replica can take traffic', 'Not while it starts, drains, or has lost its database.', {
      responses: { ...probed('The replica is ready', status('ready'), { status: 'ready' }), ...probeRefusals('not-ready') },
    }),
  },
  '/metrics': {
    get: operation('getMetrics', 'Metrics for Prometheus', 'The text format, version 0.0.4.', {
      responses: { ...text('The metrics', 'text/plain', metricsText, unlimitedHeaders), ...probeRefusals() },
    }),
  },
};

/** Of answers that caches keep and revalidate. */
const cached = answerHeaders.extend({
  'Cache-Control': z.literal('no-cache'),
  ETag: z.string().meta({ description: 'For If-None-Match' }),
  Vary: z.string(),
  'Content-Encoding': z.literal('gzip').optional(),
});
const notModified = {
  '304': { description: 'The same as the one with the ETag of If-None-Match', headers: cached.omit({ 'Content-Encoding': true }) },
};

function document(id: string, summary: string, description: string, answer: ZodOpenApiOperationObject['responses']) {
  return operation(id, summary, description, { responses: { ...answer, ...notModified, ...refusals([]) } });
}

const openApiExample = { openapi: '3.1.0', info: { title: 'onsale', version: '0.1.0' }, paths: {} };

export const documentPaths: ZodOpenApiPathsObject = {
  '/': {
    get: operation('getHome', 'What this port serves', 'A short page, or JSON for clients whose Accept prefers it.', {
      responses: {
        '200': {
          description: 'The paths that this port serves',
          headers: answerHeaders.extend({ Vary: z.string() }),
          content: {
            'text/html': { schema: z.string() },
            'application/json': {
              schema: schemas.home,
              examples: only('Everything is on one port', {
                name: 'onsale',
                events: '/events',
                docs: '/docs',
                openapi: '/openapi.json',
                readyz: '/readyz',
              }),
            },
          },
        },
        ...refusals([]),
      },
    }),
  },
  '/openapi.json': {
    get: document('getOpenApi', 'This document', 'It describes the paths that this port serves.', {
      '200': {
        description: 'OpenAPI 3.1',
        headers: cached,
        content: { 'application/json': { schema: z.looseObject({}), examples: only('Without its paths', openApiExample) } },
      },
    }),
  },
  '/docs': {
    get: document(
      'getDocs',
      'This document as a web page',
      'It loads nothing from other hosts.',
      text('The page', 'text/html', undefined, cached),
    ),
  },
};
