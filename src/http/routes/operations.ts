import type { IRouter, RequestHandler } from 'express';
import type { Readiness } from '../../db/readiness.js';
import type { Metrics } from '../../observability/metrics.js';
import { overloaded, Problem } from '../contract/problems.js';
import { resource } from './resource.js';
import { sendJson } from '../middleware/send.js';

export const operationsPaths: readonly string[] = ['/healthz', '/readyz', '/metrics'];

/** For those who run it: is it alive, should it get traffic, what is it doing. */
export function operations(router: IRouter, readiness: Readiness, metrics: Metrics): void {
  const healthz: RequestHandler = (_req, res) => {
    sendJson(res, 200, { status: 'ok' });
  };
  const readyz: RequestHandler = async (_req, res) => {
    const state = await readiness.check();
    if (!state.ready) throw new Problem('not-ready', state.reason);
    sendJson(res, 200, { status: 'ready' });
  };
  const showMetrics: RequestHandler = async (_req, res) => {
    res.set('Content-Type', metrics.contentType).send(await metrics.text());
  };

  resource(router, '/healthz', { get: [healthz] });
  resource(router, '/readyz', { get: [readyz] });
  resource(router, '/metrics', { get: [showMetrics] });
}

/** The end of every request to the port of operations that asks for something else. */
export const notAnOperation: RequestHandler = (req) => {
  throw new Problem('not-found', `There is nothing at ${req.path}; on this port there are ${operationsPaths.join(', ')}.`);
};

/** Keeps everybody off a schema that this version does not know. */
export function requireKnownSchema(readiness: Readiness): RequestHandler {
  return (_req, _res, next) => {
    if (!readiness.schemaKnown()) throw overloaded('This replica is not ready yet.', 1);
    next();
  };
}
