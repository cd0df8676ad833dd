/** The gauges of a replica: what it does at the moment of a scrape. */
import type { Pool } from '../db/client.js';
import type { Sale } from '../sale/sale.js';
import type { LagMeter } from './eventLoopLag.js';
import type { Metrics } from './metrics.js';

export interface Watched {
  readonly sale: Pick<Sale, 'waiting' | 'inProgress' | 'batchesRunning'>;
  readonly refusals: { readonly waiting: number };
  readonly lag: Pick<LagMeter, 'lagMs'>;
  /** Undefined: buyers need no token. */
  readonly tokens: { keysAgeMs(): number } | undefined;
  readonly pools: Readonly<Record<string, Pick<Pool, 'inUse' | 'connectionsMax'>>>;
}

export function watchReplica(metrics: Pick<Metrics, 'gauge' | 'gauges'>, { sale, refusals, lag, tokens, pools }: Watched): void {
  metrics.gauge('onsale_refusals_waiting', 'Refusals waiting to be sent', () => refusals.waiting);
  metrics.gauge('onsale_queue_requests', 'Purchase requests waiting in queues for a batch', () => sale.waiting);
  metrics.gauge('onsale_purchases_in_progress', 'Purchase requests admitted and not yet answered', () => sale.inProgress);
  metrics.gauge('onsale_batches_running', 'Batches running', () => sale.batchesRunning);
  metrics.gauge('onsale_event_loop_lag_seconds', 'Event-loop lag', () => lag.lagMs() / 1000);
  metrics.gauge('onsale_buyer_keys_age_seconds', "Since the keys of buyers' tokens were fetched", () => (tokens?.keysAgeMs() ?? 0) / 1000);
  const each = (read: (pool: Watched['pools'][string]) => number) => () =>
    Object.fromEntries(Object.entries(pools).map(([name, pool]) => [name, read(pool)]));
  metrics.gauges(
    'onsale_connections_in_use',
    'Connections to Postgres in use',
    'pool',
    each((pool) => pool.inUse()),
  );
  metrics.gauges(
    'onsale_connections_max',
    'Limit of connections to Postgres',
    'pool',
    each((pool) => pool.connectionsMax),
  );
}
