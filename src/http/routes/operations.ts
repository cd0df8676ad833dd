import type { IRouter, RequestHandler } from 'express';
import type { Readiness } from '../../db/readiness.js';
import type { Metrics } from '../../observability/metrics.js';
import { overloaded, Problem } from '../contract/problems.js';
import { notReady } from '../contract/requestProblems.js';
import { resource } from './resource.js';
import { sendJson } from '../middleware/send.js';

export const operationsPaths: readonly string[] = ['/healthz', '/readyz', '/metrics'];

/** The operators' routes: liveness, readiness, metrics. */
export function operations(router: IRouter, readiness: Readiness, metrics: Metrics): void {
  const healthz: RequestHandler = (_req, res) => {
    sendJson(res, 200, { status: 'ok' });
  };
  const readyz: RequestHandler = async (_req, res) => {
    const state = await readiness.check();
    if (!state.ready) throw notReady(state.reason);
    sendJson(res, 200, { status: 'ready' });
  };
  const showMetrics: RequestHandler = async (_req, res) => {
    res.set('Content-Type', metrics.contentType).send(await metrics.text());
  };

  resource(router, '/healthz', { get: [healthz] });
  resource(router, '/readyz', { get: [readyz] });
  resource(router, '/metrics', { get: [showMetrics] });
}

/** Answers requests to OPERATIONS_PORT for any other path. */
export const notAnOperation: RequestHandler = (req) => {
  throw new Problem('not-found', `There is nothing at ${req.path}; this port serves ${operationsPaths.join(', ')}.`);
};

/** Refuses requests while the database's schema is not one that this version can use. */
export function requireKnownSchema(readiness: Readiness): RequestHandler {
  return (_req, _res, next) => {
    if (!readiness.schemaKnown()) throw overloaded('This replica is not ready yet.', 1);
    next();
  };
}
