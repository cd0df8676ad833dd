/** What the program tells Prometheus. No label has an event's or a buyer's id: their number has no bound. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Sale, SaleObserver } from '../sale/sale.js';

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  readonly saleObserver: SaleObserver;
  /** Gauges that are read when they are asked for. */
  watch(sale: Sale, connectionsInUse: () => number): void;
}

/** @param onFault told of every fault of the database, for the log */
export function createMetrics(onFault: SaleObserver['fault']): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  // Counted by hand and handed over when asked for: a labelled counter looks its label up by text for each purchase.
  const outcomes = new Map<string, number>();
  new Counter({
    name: 'onsale_purchases_total',
    help: 'Purchase requests by outcome',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of outcomes) this.inc({ outcome }, count);
    },
  });
  const faults = new Counter({
    name: 'onsale_database_faults_total',
    help: 'Failed attempts at a batch',
    labelNames: ['fault'],
    registers,
  });
  const batchSize = new Histogram({
    name: 'onsale_batch_requests',
    help: 'Requests in a batch',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
    registers,
  });

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    saleObserver: {
      batch: (requests) => {
        batchSize.observe(requests);
      },
      outcome: (kind, replayed) => {
        const outcome = replayed ? 'replayed' : kind;
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      },
      fault: (fault, error) => {
        faults.inc({ fault: fault.transient ? fault.name : 'permanent' });
        onFault(fault, error);
      },
    },
    watch: (sale, connectionsInUse) => {
      const gauge = (name: string, help: string, read: () => number) =>
        new Gauge({
          name,
          help,
          registers,
          collect() {
            this.set(read());
          },
        });
      gauge('onsale_line_requests', 'Purchase requests waiting for a transaction', () => sale.waiting);
      gauge('onsale_batches_in_flight', 'Batches under way', () => sale.inFlight);
      gauge('onsale_sale_connections_in_use', 'Connections of the sale pool in use', connectionsInUse);
    },
  };
}
