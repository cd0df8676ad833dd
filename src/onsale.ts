/** From a configuration to a replica that serves: its pools, its sale, its app. Opens no connection and no port. */
import type { Server, ServerOptions, ServerResponse } from 'node:http';
import type { Express } from 'express';
import { type Logger, pino } from 'pino';
import { createApp } from './app.js';
import type { Config } from './config.js';
import { openPool, type PoolLimits } from './db/client.js';
import { createReadiness, type Readiness } from './db/readiness.js';
import { limitConnections } from './http/connections.js';
import { neverHtml } from './http/errors.js';
import { createExpressServer } from './http/expressServer.js';
import { createGate } from './http/gate.js';
import { probeHalfClosed } from './http/halfClosed.js';
import { startLagMeter } from './http/lag.js';
import { createMetrics, type Metrics } from './http/metrics.js';
import { cutSlowReaders } from './http/slowReaders.js';
import { answerUnparsed } from './http/unparsed.js';
import { createAvailability } from './sale/availability.js';
import { ofKnownEvents } from './sale/knownEvents.js';
import { createSale } from './sale/sale.js';

export interface Onsale {
  readonly app: Express;
  /** Serves the application behind its gate, on a bounded number of connections. Does not listen yet. */
  readonly createServer: (options?: ServerOptions) => Server;
  /** Answers that are owed to clients. */
  readonly unanswered: Iterable<ServerResponse>;
  readonly readiness: Readiness;
  readonly log: Logger;
  /** Refuses new purchases, serves those that were admitted, closes the connections. */
  close(): Promise<void>;
}

export function createOnsale(config: Config, url: string, adminToken: string): Onsale {
  const log = pino({ level: config.LOG_LEVEL, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const pools = openPools(config, url);
  const lag = startLagMeter();
  const metrics = createMetrics((fault, error) => {
    log.warn({ fault: fault.name, sqlstate: fault.sqlState, err: fault.transient ? undefined : error }, 'a batch failed');
  });
  const sale = createSale(pools.sale, saleLimits(config), metrics.saleObserver);
  const availability = createAvailability(pools.reads, readLimits(config), () => {
    metrics.refused('reads full');
  });
  const readiness = createReadiness(pools.reads);
  const [reads, admin] = [pools.reads.prisma, pools.admin.prisma];
  const limits = {
    lookups: {
      inProgressMax: config.LOOKUPS_IN_PROGRESS_MAX,
      atOnceMax: Math.max(1, config.READ_CONNECTIONS_MAX - 1), // one is left for what is left, and for readiness
      waitMs: config.CONNECT_TIMEOUT_MS,
    },
    admin: { inProgressMax: config.ADMIN_IN_PROGRESS_MAX, atOnceMax: config.ADMIN_CONNECTIONS_MAX, waitMs: config.CONNECT_TIMEOUT_MS },
    docsInProgressMax: config.DOCS === 'on' ? config.DOCS_IN_PROGRESS_MAX : undefined,
    requestsPerMinuteMax: config.CLIENT_REQUESTS_PER_MINUTE_MAX,
    trustedProxies: config.TRUST_PROXY_HOPS,
  };
  const app = createApp({
    sale: { sell: ofKnownEvents(sale, availability, metrics.saleObserver) },
    availability,
    reads,
    admin,
    adminToken,
    readiness,
    metrics,
    log,
    limits,
  });
  const refuses = (eventId: string) => sale.refuses(eventId, lag.lagMs() > config.EVENT_LOOP_LAG_MAX_MS);
  const gate = createGate(refuses, config.REFUSALS_PER_SECOND_MAX, neverHtml(app, log));
  metrics.gauge('onsale_refusals_waiting', 'Refusals that wait to be told', gate.waiting);
  metrics.gauge('onsale_line_requests', 'Purchase requests waiting for a batch', () => sale.waiting);
  metrics.gauge('onsale_batches_in_flight', 'Batches under way', () => sale.inFlight);
  metrics.gauge('onsale_event_loop_lag_seconds', 'How late the event loop is', () => lag.lagMs() / 1000);
  watchPools(metrics, pools);

  return {
    app,
    createServer: (options) => {
      const server = createExpressServer(app, gate.listener, options);
      answerUnparsed(server, gate.owedTo);
      probeHalfClosed(server, gate.owedTo);
      cutSlowReaders(server, gate.unanswered, config.ANSWER_TAKEN_TIMEOUT_MS);
      const open = limitConnections(
        server,
        { connectionsMax: config.CONNECTIONS_MAX, connectionsPerAddressMax: config.CONNECTIONS_PER_ADDRESS_MAX },
        () => {
          metrics.refused('connections full');
        },
      );
      metrics.gauge('onsale_http_connections', 'Open connections of clients', open);
      return server;
    },
    unanswered: gate.unanswered,
    readiness,
    log,
    close: async () => {
      await sale.close();
      lag.stop();
      await Promise.all(Object.values(pools).map((pool) => pool.close()));
    },
  };
}

function saleLimits(config: Config) {
  return {
    lineMax: config.LINE_REQUESTS_MAX,
    lineMaxPerKey: config.EVENT_LINE_REQUESTS_MAX,
    lineMinPerKey: config.EVENT_LINE_REQUESTS_MIN,
    waitMs: config.LINE_WAIT_MS,
    deadlineMs: config.PURCHASE_DEADLINE_MS,
    batchRequestsMax: config.BATCH_REQUESTS_MAX,
    batchTicketsMax: config.BATCH_TICKETS_MAX,
    connectionsMax: config.SALE_CONNECTIONS_MAX,
  };
}

function readLimits(config: Config) {
  const lineMax = config.READ_LINE_REQUESTS_MAX;
  return {
    lineMax,
    lineMaxPerKey: lineMax,
    lineMinPerKey: lineMax, // a query answers any number of them, so their pace says nothing
    waitMs: config.LINE_WAIT_MS,
    deadlineMs: config.PURCHASE_DEADLINE_MS,
    queriesInFlightMax: config.READ_CONNECTIONS_MAX,
    batchReadsMax: config.BATCH_REQUESTS_MAX,
  };
}

type Pools = ReturnType<typeof openPools>;

function watchPools(metrics: Metrics, pools: Pools): void {
  const each = (read: (pool: Pools[keyof Pools]) => number) => () =>
    Object.fromEntries(Object.entries(pools).map(([name, pool]) => [name, read(pool)]));
  metrics.gauges(
    'onsale_connections_in_use',
    'Connections to Postgres with something to do',
    'pool',
    each((pool) => pool.inUse()),
  );
  metrics.gauges(
    'onsale_connections_max',
    'Connections to Postgres that there may be',
    'pool',
    each((pool) => pool.connectionsMax),
  );
}

function openPools(config: Config, url: string) {
  const limits: PoolLimits = {
    connectionsMax: config.SALE_CONNECTIONS_MAX,
    connectTimeoutMs: config.CONNECT_TIMEOUT_MS,
    lockTimeoutMs: config.LOCK_TIMEOUT_MS,
    statementTimeoutMs: config.STATEMENT_TIMEOUT_MS,
    transactionTimeoutMs: config.TRANSACTION_TIMEOUT_MS,
    clientDeadlineMs: config.CLIENT_DEADLINE_MS,
  };
  const auditMs = config.AUDIT_TIMEOUT_MS;
  const patient = { statementTimeoutMs: auditMs, transactionTimeoutMs: auditMs + 1_000, clientDeadlineMs: auditMs + 2_000 };
  return {
    sale: openPool(url, 'onsale sale', limits),
    reads: openPool(url, 'onsale reads', { ...limits, connectionsMax: config.READ_CONNECTIONS_MAX }),
    admin: openPool(url, 'onsale admin', { ...limits, connectionsMax: config.ADMIN_CONNECTIONS_MAX, ...patient }),
  };
}
