/** The Express application, wired from its parts. No I/O happens here: whoever has the parts can have an app. */
import express, { type Express } from 'express';
import type { Logger } from 'pino';
import type { PrismaClient } from './db/client.js';
import type { Readiness } from './db/readiness.js';
import { adminEvents } from './http/adminEvents.js';
import { requireAdmin } from './http/auth.js';
import { bounded, type Bounds } from './http/bounded.js';
import { docs } from './http/docs.js';
import { docsShare } from './http/docsShare.js';
import { everyAnswer } from './http/everyAnswer.js';
import { errorHandler, notFound } from './http/errors.js';
import { events } from './http/events.js';
import type { Metrics } from './http/metrics.js';
import { operations, requireKnownSchema } from './http/operations.js';
import { purchases } from './http/purchases.js';
import { limitRate } from './http/rateLimit.js';
import type { Availability } from './sale/availability.js';
import type { Sale } from './sale/sale.js';

export interface AppDeps {
  readonly sale: Pick<Sale, 'sell'>;
  readonly availability: Availability;
  /** For the reads that are not shared. */
  readonly reads: PrismaClient;
  readonly admin: PrismaClient;
  readonly adminToken: string;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly limits: AppLimits;
}

export interface AppLimits {
  /** Of lists and look-ups, each of which needs a connection of its own. */
  readonly lookups: Bounds;
  /** The same for what the admin asks. */
  readonly admin: Bounds;
  /** Answers of the documentation under way; without it none is served. */
  readonly docsInProgressMax?: number | undefined;
  /** Of one client; 0: any number. */
  readonly requestsPerMinuteMax: number;
  /** Proxies in front whose word about the client's address is taken. */
  readonly trustedProxies: number;
}

export function createApp(deps: AppDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.enable('case sensitive routing');
  app.enable('strict routing');
  const { limits, metrics } = deps;
  if (limits.trustedProxies > 0) app.set('trust proxy', limits.trustedProxies);
  const share = (bounds: Bounds, reason: string) =>
    bounded(bounds, () => {
      metrics.refused(reason);
    });
  const lookups = share(limits.lookups, 'lookups full');

  app.use(everyAnswer);
  if (limits.requestsPerMinuteMax > 0) {
    app.use(
      limitRate(limits.requestsPerMinuteMax, () => {
        metrics.refused('rate limit');
      }),
    );
  }
  // Express tries routes in order, so what is asked for most comes first.
  const known = requireKnownSchema(deps.readiness);
  purchases(app, known, lookups, deps.sale, deps.reads);
  events(app, known, lookups, deps.availability, deps.reads);
  operations(app, deps.readiness, deps.metrics);
  app.use('/admin', requireAdmin(deps.adminToken), known);
  adminEvents(app, share(limits.admin, 'admin full'), deps.admin);
  const { docsInProgressMax } = limits;
  if (docsInProgressMax !== undefined) {
    docs(
      app,
      docsShare(docsInProgressMax, () => {
        metrics.refused('docs full');
      }),
    );
  }
  app.use(notFound(docsInProgressMax !== undefined));
  app.use(errorHandler(deps.log));
  return app;
}
