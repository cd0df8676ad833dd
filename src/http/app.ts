/** Builds the Express application from its parts. It does no I/O. */
import express, { type Express } from 'express';
import type { Logger } from 'pino';
import type { Pool, PrismaClient } from '../db/client.js';
import type { Readiness } from '../db/readiness.js';
import { adminEvents } from './routes/adminEvents.js';
import { adminPurchases } from './routes/adminPurchases.js';
import type { Callers } from './middleware/callers.js';
import { bounded, type Bounds } from './middleware/bounded.js';
import { docs } from './routes/docs.js';
import { docsShare } from './middleware/docsShare.js';
import { everyAnswer } from './middleware/everyAnswer.js';
import { errorHandler, notFound } from './middleware/errors.js';
import { events } from './routes/events.js';
import { home } from './routes/home.js';
import type { RefuseEarly } from './server/gate.js';
import type { Metrics } from '../observability/metrics.js';
import { notAnOperation, operations, operationsPaths, requireKnownSchema } from './routes/operations.js';
import { purchases } from './routes/purchases.js';
import { ticketsCsv } from './routes/ticketsCsv.js';
import { limitRate } from './middleware/rateLimit.js';
import type { Refusals } from './server/refusals.js';
import type { Availability } from '../sale/availability.js';
import type { Sale } from '../sale/sale.js';

export interface AppDeps {
  readonly sale: Pick<Sale, 'sell' | 'confirm'>;
  readonly availability: Availability;
  /** For look-ups and lists, which do not share queries. */
  readonly reads: PrismaClient;
  readonly admin: PrismaClient;
  /** For downloads, each of which keeps a session for as long as its client reads. */
  readonly exports: Pick<Pool, 'withSession'>;
  readonly callers: Callers;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Refuses a purchase before its body is read. */
  readonly refuseEarly: RefuseEarly;
  readonly refusals: Refusals;
  /** Whether probes and metrics have a separate port; then they are not served here. */
  readonly operationsElsewhere: boolean;
  readonly limits: AppLimits;
}

export interface AppLimits {
  /** For look-ups of purchases, each of which needs a database connection. */
  readonly lookups: Bounds;
  /** For lists of events, separately: a flood of them must not block look-ups of purchases. */
  readonly lists: Bounds;
  /** For admin requests. */
  readonly admin: Bounds;
  /** For downloads. */
  readonly exports: Bounds;
  /** The time that the client of a download has to take each part of it. */
  readonly batchTakenMs: number;
  /** Documentation answers in progress; undefined: the documentation is not served. */
  readonly docsInProgressMax?: number | undefined;
  /** For each client address; 0: no limit. */
  readonly requestsPerMinuteMax: number;
  /** The number of proxies whose X-Forwarded-For entries are trusted. */
  readonly trustedProxies: number;
}

export function createApp(deps: AppDeps): Express {
  const app = bareApp();
  const { limits, metrics, operationsElsewhere } = deps;
  if (limits.trustedProxies > 0) app.set('trust proxy', limits.trustedProxies);
  const share = (bounds: Bounds, reason: string) =>
    bounded(bounds, () => {
      metrics.refused(reason);
    });

  app.use(everyAnswer);
  if (limits.requestsPerMinuteMax > 0) {
    app.use(
      limitRate(limits.requestsPerMinuteMax, operationsElsewhere ? [] : operationsPaths, () => {
        metrics.refused('rate limit');
      }),
    );
  }
  // Express tries routes in order, so the most frequent ones come first.
  const known = requireKnownSchema(deps.readiness);
  purchases(app, { ...deps, before: known, lookups: share(limits.lookups, 'lookups full') });
  events(app, known, share(limits.lists, 'lists full'), deps.availability, deps.reads);
  if (!operationsElsewhere) operations(app, deps.readiness, metrics);
  app.use('/admin', deps.callers.requireAdmin, known);
  const adminShare = share(limits.admin, 'admin full');
  adminEvents(app, adminShare, deps.admin, deps.log);
  adminPurchases(app, { ...deps, share: adminShare });
  ticketsCsv(app, { ...deps, share: adminShare, exportsShare: share(limits.exports, 'exports full'), batchTakenMs: limits.batchTakenMs });
  const { docsInProgressMax } = limits;
  if (docsInProgressMax !== undefined) {
    docs(
      app,
      !operationsElsewhere,
      docsShare(docsInProgressMax, () => {
        metrics.refused('docs full');
      }),
    );
  }
  home(app, { docs: docsInProgressMax !== undefined, operations: !operationsElsewhere });
  app.use(notFound(docsInProgressMax !== undefined));
  app.use(errorHandler(deps.log, deps.refusals));
  return app;
}

/** The application on OPERATIONS_PORT: only probes and metrics. */
export function createOperationsApp({ readiness, metrics, log }: Pick<AppDeps, 'readiness' | 'metrics' | 'log'>): Express {
  const app = bareApp();
  app.use(everyAnswer);
  operations(app, readiness, metrics);
  app.use(notAnOperation);
  app.use(errorHandler(log));
  return app;
}

function bareApp(): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.enable('case sensitive routing');
  return app;
}
