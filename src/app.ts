/** The Express application, wired from its parts. No I/O happens here: whoever has the parts can have an app. */
import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import type { Logger } from 'pino';
import type { PrismaClient } from './db/client.js';
import type { Readiness } from './db/readiness.js';
import { adminEvents } from './http/adminEvents.js';
import { requireAdmin } from './http/auth.js';
import { docs } from './http/docs.js';
import { errorHandler, notFound } from './http/errors.js';
import { events } from './http/events.js';
import type { Metrics } from './http/metrics.js';
import { operations, requireKnownSchema } from './http/operations.js';
import { purchases } from './http/purchases.js';
import { requestId } from './http/requestId.js';
import type { Availability } from './sale/availability.js';
import type { Sale } from './sale/sale.js';

export interface AppDeps {
  readonly sale: Sale;
  readonly availability: Availability;
  /** For the reads that are not shared. */
  readonly reads: PrismaClient;
  readonly admin: PrismaClient;
  readonly adminToken: string;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** Answers change with every sale; nobody on the way may keep one. */
const noStore: RequestHandler = (_req, res, next) => {
  res.setHeader('Cache-Control', 'no-store');
  next();
};

export function createApp(deps: AppDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');

  app.use(requestId);
  app.use(docs());
  // No page is served below this line, so one strict policy serves all; transport security is the load balancer's.
  app.use(
    helmet({ contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"] } }, strictTransportSecurity: false }),
  );
  app.use(noStore);
  app.use(operations(deps.readiness, deps.metrics));
  app.use('/admin', requireAdmin(deps.adminToken));
  app.use(requireKnownSchema(deps.readiness));
  app.use(purchases(deps.sale, deps.reads));
  app.use(events(deps.availability, deps.reads));
  app.use('/admin', adminEvents(deps.admin));
  app.use(notFound);
  app.use(errorHandler(deps.log));
  return app;
}
