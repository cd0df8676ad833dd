/** From a configuration to a replica that serves: its pools, its sale, its app. Opens no connection and no port. */
import type { Express } from 'express';
import { type Logger, pino } from 'pino';
import { createApp } from './app.js';
import type { Config } from './config.js';
import { openPool, type PoolLimits } from './db/client.js';
import { createReadiness, type Readiness } from './db/readiness.js';
import { createMetrics } from './http/metrics.js';
import { createAvailability } from './sale/availability.js';
import { createSale } from './sale/sale.js';

export interface Onsale {
  readonly app: Express;
  readonly readiness: Readiness;
  readonly log: Logger;
  /** Refuses new purchases, serves those that were admitted, closes the connections. */
  close(): Promise<void>;
}

export function createOnsale(config: Config, url: string, adminToken: string): Onsale {
  const log = pino({ level: config.LOG_LEVEL, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const pools = openPools(config, url);
  const metrics = createMetrics((fault, error) => {
    log.warn({ fault: fault.name, sqlstate: fault.sqlState, err: fault.transient ? undefined : error }, 'a batch failed');
  });
  const deadlineMs = config.PURCHASE_DEADLINE_MS;
  const saleLimits = {
    lineMax: config.LINE_REQUESTS_MAX,
    lineMaxPerKey: config.EVENT_LINE_REQUESTS_MAX,
    deadlineMs,
    batchRequestsMax: config.BATCH_REQUESTS_MAX,
    batchTicketsMax: config.BATCH_TICKETS_MAX,
    connectionsMax: config.SALE_CONNECTIONS_MAX,
  };
  const sale = createSale(pools.sale, saleLimits, metrics.saleObserver);
  const availability = createAvailability(pools.reads, {
    lineMax: config.READ_LINE_REQUESTS_MAX,
    lineMaxPerKey: config.READ_LINE_REQUESTS_MAX,
    deadlineMs,
    queriesInFlightMax: config.READ_CONNECTIONS_MAX,
    batchReadsMax: config.BATCH_REQUESTS_MAX,
  });
  const readiness = createReadiness(pools.reads, config.CONNECT_TIMEOUT_MS);
  metrics.watch(sale, pools.sale.inUse);
  const reads = pools.reads.prisma;
  const app = createApp({ sale, availability, reads, admin: pools.admin.prisma, adminToken, readiness, metrics, log });

  return {
    app,
    readiness,
    log,
    close: async () => {
      await sale.close();
      await Promise.all(Object.values(pools).map((pool) => pool.close()));
    },
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
  };
  const auditMs = config.AUDIT_TIMEOUT_MS;
  const patient = { statementTimeoutMs: auditMs, transactionTimeoutMs: auditMs + 1_000, clientDeadlineMs: auditMs + 2_000 };
  return {
    sale: openPool(url, 'onsale sale', limits),
    reads: openPool(url, 'onsale reads', { ...limits, connectionsMax: config.READ_CONNECTIONS_MAX }),
    admin: openPool(url, 'onsale admin', { ...limits, connectionsMax: config.ADMIN_CONNECTIONS_MAX, ...patient }),
  };
}
