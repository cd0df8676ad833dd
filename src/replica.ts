/** Builds a replica from a configuration: its pools, its sale, its application. Opens no connection and no port. */
import type { Server, ServerOptions, ServerResponse } from 'node:http';
import type { Express, Request } from 'express';
import { type Logger, pino } from 'pino';
import { type AppLimits, createApp, createOperationsApp } from './http/app.js';
import type { Config } from './config.js';
import { auditPatienceMs } from './config/contradictions.js';
import { ConnectionGroup, openPool, type PoolLimits } from './db/client.js';
import { createReadiness, type Readiness } from './db/readiness.js';
import { limitConnections } from './http/server/connections.js';
import { neverHtml } from './http/middleware/errors.js';
import { createExpressServer } from './http/server/expressServer.js';
import { createGate, createRefuseEarly, type Gate } from './http/server/gate.js';
import { probeHalfClosed } from './http/server/halfClosed.js';
import { startLagMeter } from './observability/eventLoopLag.js';
import { watchReplica } from './observability/gauges.js';
import { openAccessLog } from './observability/accessLog.js';
import { FaultLog } from './observability/faultLog.js';
import { createMetrics, type Metrics } from './observability/metrics.js';
import { Refusals } from './http/server/refusals.js';
import { cutSlowReaders } from './http/server/slowReaders.js';
import { answerUnparsed } from './http/server/unparsed.js';
import { createAvailability } from './sale/availability.js';
import { EventRegistry } from './sale/eventRegistry.js';
import { ofKnownEvents } from './sale/knownEvents.js';
import { createSale } from './sale/sale.js';
import { createCallers, whoMay } from './http/middleware/callers.js';
import { openBuyerTokens } from './http/tokens/buyerTokens.js';
import { watchEventTotals } from './background/eventTotals.js';
import { startSweeper } from './background/sweeper.js';

export interface Replica {
  readonly app: Express;
  /** Serves the application behind its gate, on a bounded number of connections. It does not listen yet. */
  readonly createServer: (options?: ServerOptions) => Server;
  /** Serves only probes and metrics, for OPERATIONS_PORT, with its own connection limit. It does not listen yet. */
  readonly createOperationsServer: (options?: ServerOptions) => Server;
  /** Answers that clients are still owed. */
  readonly unanswered: Iterable<ServerResponse>;
  /** Downloads of tickets in progress, which are answers too. */
  readonly downloads: number;
  readonly readiness: Readiness;
  readonly log: Logger;
  /** One sentence for people: who may confirm and who may buy. */
  readonly whoMay: string;
  /** Refuses further purchases, serves those already admitted, and closes the database connections. */
  close(): Promise<void>;
}

export function createReplica(config: Config, url: string, adminToken: string): Replica {
  const log = pino({ level: config.LOG_LEVEL, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const pools = openPools(config, url);
  const lag = startLagMeter();
  const faults = new FaultLog(log);
  const metrics = createMetrics((fault, error, carried) => {
    faults.failed('a batch', fault, error, carried);
  });
  const known = new EventRegistry();
  const sale = createSale(pools.sale, known, saleLimits(config), metrics.saleObserver);
  const availability = createAvailability(pools.reads, readLimits(config), () => {
    metrics.refused('reads full');
  });
  const readiness = createReadiness(pools.reads);
  const [reads, admin] = [pools.reads.prisma, pools.admin.prisma];
  const tokens = openBuyerTokens(
    config,
    () => {
      metrics.refused('tokens full');
    },
    log,
  );
  const refusals = new Refusals(config.REFUSALS_PER_SECOND_MAX);
  const refuses = (eventId: string) => sale.refuses(eventId, lag.lagMs() > config.EVENT_LOOP_LAG_MAX_MS);
  const refuseEarly = createRefuseEarly(refuses, refusals);
  const app = createApp({
    sale: { sell: ofKnownEvents(sale, known, availability, metrics.saleObserver), confirm: (request) => sale.confirm(request) },
    availability,
    reads,
    admin,
    exports: pools.exports,
    callers: createCallers({ adminToken, sellerToken: config.SELLER_TOKEN }, tokens?.verify),
    readiness,
    metrics,
    log,
    refuseEarly,
    refusals,
    operationsElsewhere: config.OPERATIONS_PORT !== undefined,
    limits: appLimits(config),
  });
  const admitting = createGate(refuseEarly, refusals, neverHtml(app, log, refusals));
  const accessLog = config.ACCESS_LOG === 'on' ? openAccessLog() : undefined;
  const gate = accessLog ? { ...admitting, listener: accessLog.wrap(admitting.listener, (req) => (req as Request).ip) } : admitting;
  watchReplica(metrics, { sale, refusals, lag, tokens, pools });
  const eventTotals = watchEventTotals(pools.admin.prisma, config.EVENT_METRICS_MAX, readiness, metrics, faults);
  const sweeper = startSweeper(pools.admin, config.SWEEP_INTERVAL_MS, readiness, metrics, faults);

  return {
    app,
    createServer: (options) => serveBuyers(config, gate, app, metrics, log, options),
    createOperationsServer: (options) => serveOperations(config, createOperationsApp({ readiness, metrics, log }), metrics, log, options),
    unanswered: gate.unanswered,
    get downloads() {
      return pools.exports.inUse();
    },
    readiness,
    log,
    whoMay: whoMay(config.SELLER_TOKEN !== undefined, config.BUYER_JWT_ISSUER),
    close: async () => {
      await Promise.all([sale.close(), sweeper.stop(), eventTotals?.stop(), tokens?.stop()]);
      lag.stop();
      faults.close();
      accessLog?.close();
      await Promise.all(Object.values(pools).map((pool) => pool.close()));
    },
  };
}

function serveBuyers(config: Config, gate: Gate, app: Express, metrics: Metrics, log: Logger, options?: ServerOptions): Server {
  const server = createExpressServer(app, gate.listener, options);
  protect(server, gate, config);
  let warned = false;
  const limits = {
    connectionsMax: config.CONNECTIONS_MAX,
    connectionsPerAddressMax: config.CONNECTIONS_PER_ADDRESS_MAX,
    connectionsPerLoopbackAddressMax: config.connectionsPerLoopbackAddressMax,
  };
  const open = limitConnections(server, limits, (reason, address) => {
    metrics.refused(reason);
    if (reason !== 'address connections full' || warned) return;
    warned = true; // once, because there may be thousands a second
    log.warn({ address }, 'an address has reached its connection limit; if it is a proxy, set TRUST_PROXY_HOPS');
  });
  metrics.gauge('onsale_http_connections', 'Open client connections', open);
  return server;
}

/** Handles malformed requests, half-closed connections, and clients that do not read their answers. */
function protect(server: Server, gate: Gate, config: Config): void {
  answerUnparsed(server, gate.owedTo);
  probeHalfClosed(server, gate.owedTo);
  cutSlowReaders(server, gate.unanswered, config.ANSWER_TAKEN_TIMEOUT_MS);
}

function serveOperations(config: Config, app: Express, metrics: Metrics, log: Logger, options?: ServerOptions): Server {
  // The gate refuses nothing here, but it also bounds pipelining and tracks the answers that are owed.
  const gate = createGate(() => false, { forget: () => undefined }, neverHtml(app, log));
  const server = createExpressServer(app, gate.listener, options);
  protect(server, gate, config);
  const limits = { connectionsMax: config.OPERATIONS_CONNECTIONS_MAX, connectionsPerAddressMax: 0, connectionsPerLoopbackAddressMax: 0 };
  limitConnections(server, limits, () => {
    metrics.refused('operations connections full');
  });
  return server;
}

function appLimits(config: Config): AppLimits {
  const waitMs = config.CONNECT_TIMEOUT_MS;
  // One connection of the pool is left for availability and readiness; look-ups and lists get half of the others each.
  const atOnceMax = Math.floor((config.READ_CONNECTIONS_MAX - 1) / 2);
  return {
    lookups: { inProgressMax: config.LOOKUPS_IN_PROGRESS_MAX, atOnceMax, waitMs },
    lists: { inProgressMax: config.LISTS_IN_PROGRESS_MAX, atOnceMax, waitMs },
    admin: { inProgressMax: config.ADMIN_IN_PROGRESS_MAX, atOnceMax: config.ADMIN_CONNECTIONS_MAX, waitMs },
    // A download takes as long as its client reads, so further ones are refused and do not wait.
    exports: { inProgressMax: config.EXPORT_CONNECTIONS_MAX, atOnceMax: config.EXPORT_CONNECTIONS_MAX, waitMs },
    batchTakenMs: config.ANSWER_TAKEN_TIMEOUT_MS,
    docsInProgressMax: config.DOCS === 'on' ? config.DOCS_IN_PROGRESS_MAX : undefined,
    requestsPerMinuteMax: config.CLIENT_REQUESTS_PER_MINUTE_MAX,
    trustedProxies: config.TRUST_PROXY_HOPS,
  };
}

function saleLimits(config: Config) {
  return {
    inProgressMax: config.PURCHASES_IN_PROGRESS_MAX,
    inProgressPerKeyMax: config.EVENT_PURCHASES_IN_PROGRESS_MAX,
    inProgressPerKeyMin: config.EVENT_PURCHASES_IN_PROGRESS_MIN,
    queueWaitMs: config.QUEUE_WAIT_MS,
    deadlineMs: config.PURCHASE_DEADLINE_MS,
    batchRequestsMax: config.BATCH_REQUESTS_MAX,
    batchTicketsMax: config.BATCH_TICKETS_MAX,
    connectionsMax: config.SALE_CONNECTIONS_MAX,
  };
}

function readLimits(config: Config) {
  const inProgressMax = config.READS_IN_PROGRESS_MAX;
  return {
    inProgressMax,
    inProgressPerKeyMax: inProgressMax,
    inProgressPerKeyMin: inProgressMax, // one query answers any number of reads, so their throughput is not a bound
    queueWaitMs: config.QUEUE_WAIT_MS,
    deadlineMs: config.PURCHASE_DEADLINE_MS,
    queriesInFlightMax: config.READ_CONNECTIONS_MAX - 1, // more would take the connections of lists and look-ups, and coalesce fewer reads
    batchReadsMax: config.BATCH_REQUESTS_MAX,
  };
}

function openPools(config: Config, url: string) {
  const limits: PoolLimits = {
    connectionsMax: config.SALE_CONNECTIONS_MAX,
    connectTimeoutMs: config.CONNECT_TIMEOUT_MS,
    lockTimeoutMs: config.LOCK_TIMEOUT_MS,
    statementTimeoutMs: config.STATEMENT_TIMEOUT_MS,
    transactionTimeoutMs: config.TRANSACTION_TIMEOUT_MS,
    clientDeadlineMs: config.CLIENT_DEADLINE_MS,
    readFenceMs: config.READ_FENCE_MS,
    connectionAgeMaxMs: config.CONNECTION_AGE_MAX_MS,
  };
  const group = new ConnectionGroup();
  const auditMs = config.AUDIT_TIMEOUT_MS;
  const patient = {
    statementTimeoutMs: auditMs,
    transactionTimeoutMs: auditMs + auditPatienceMs / 2,
    clientDeadlineMs: auditMs + auditPatienceMs,
  };
  return {
    sale: openPool(url, 'onsale sale', limits, group),
    reads: openPool(url, 'onsale reads', { ...limits, connectionsMax: config.READ_CONNECTIONS_MAX }, group),
    admin: openPool(url, 'onsale admin', { ...limits, connectionsMax: config.ADMIN_CONNECTIONS_MAX, ...patient }, group),
    exports: openPool(url, 'onsale exports', { ...limits, connectionsMax: config.EXPORT_CONNECTIONS_MAX, ...patient }, group),
  };
}
