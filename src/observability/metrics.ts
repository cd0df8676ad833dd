/**
 * Metrics for Prometheus. No label contains a buyer's id, because the number of ids is unbounded; the labels of events are those of a
 * bounded number of events.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { singleFlight } from '../concurrency/singleFlight.js';
import type { SaleObserver } from '../sale/sale.js';
import type { EventTotals } from '../sql/readEventTotals.js';
import { type Outcome, refusalKinds, type SaleRequest } from '../sale/types.js';

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  readonly saleObserver: SaleObserver;
  /** Counts a request that another layer than the sale refused before it began. */
  refused(reason: string): void;
  /** Counts expired holds that the sweep has marked as such. */
  swept(holds: number): void;
  /** A gauge that is read at each scrape. `gauges` has one value per label value. */
  gauge(name: string, help: string, read: () => number): void;
  /** What is left, held and sold by event, read at each scrape; an event that is no longer in the list has no metrics. */
  eventTotals(read: () => readonly EventTotals[]): void;
  gauges(name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void;
}

/** Exported as zeros from the start: a counter that first appears with its first increment hides that increment from rates. */
const knownOutcomes = [
  'sold',
  'held',
  'replayed',
  'confirmed',
  'released',
  'cancelled',
  'expired',
  ...refusalKinds,
  'overloaded',
  'outcome-unknown',
];

/** The outcome as a label: what became of the request, or of the purchase that it names. */
function labelOf(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'granted':
      if (outcome.replayed) return 'replayed';
      return outcome.purchase.status === 'held' ? 'held' : 'sold';
    case 'settled':
      return outcome.purchase.status;
    default:
      return outcome.kind;
  }
}

const knownReasons = [
  ...(['draining', 'purchases full', 'event purchases full', 'event loop lag', 'too late', 'client gone'] satisfies Parameters<
    SaleObserver['refused']
  >[0][]),
  'reads full',
  'lookups full',
  'lists full',
  'admin full',
  'docs full',
  'tokens full',
  'exports full',
  'rate limit',
  'connections full',
  'address connections full',
  'operations connections full',
];

/** From a millisecond to the deadline. */
const secondsBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1, 2, 5];

/** @param onFault called for every database fault, to log it */
export function createMetrics(onFault: SaleObserver['fault']): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const refused = countedByHand(
    registry,
    'onsale_refused_total',
    'Requests refused before anything began, by reason',
    'reason',
    knownReasons,
  );
  const swept = new Counter({ name: 'onsale_holds_swept_total', help: 'Expired holds that the sweep has marked as such', registers });

  return {
    contentType: registry.contentType,
    text: sharedText(registry),
    saleObserver: observeSale(registry, refused, onFault),
    refused,
    swept: (holds) => {
      swept.inc(holds);
    },
    ...gaugesOf(registers),
    eventTotals: (read) => {
      for (const quantity of ['available', 'held', 'sold'] as const) gaugeOfEvents(registers, quantity, read);
    },
  };
}

const eventLabels = ['event_id', 'name'] as const;

function gaugeOfEvents(registers: Registry[], quantity: 'available' | 'held' | 'sold', read: () => readonly EventTotals[]): void {
  new Gauge({
    name: `onsale_event_${quantity}_tickets`,
    help: `Tickets of an event that are ${quantity}`,
    labelNames: eventLabels,
    registers,
    collect() {
      this.reset();
      for (const { id, name, ...tickets } of read()) this.set({ event_id: id, name }, tickets[quantity]);
    },
  });
}

/** Gauges that are read at each scrape. */
function gaugesOf(registers: Registry[]): Pick<Metrics, 'gauge' | 'gauges'> {
  return {
    gauge: (name, help, read) => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    gauges: (name, help, label, read) => {
      new Gauge({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          for (const [value, count] of Object.entries(read())) this.set({ [label]: value }, count);
        },
      });
    },
  };
}

function observeSale(registry: Registry, refused: SaleObserver['refused'], onFault: SaleObserver['fault']): SaleObserver {
  const registers = [registry];
  const histogram = (name: string, help: string, buckets: number[], labelNames: string[] = []) =>
    new Histogram({ name, help, buckets, labelNames, registers });
  const byOutcome = (name: string, help: string) => countedByHand(registry, name, help, 'outcome', knownOutcomes);
  const outcomes: Readonly<Record<SaleRequest['kind'], (outcome: string) => void>> = {
    buy: byOutcome('onsale_purchases_total', 'Purchase requests by outcome'),
    confirm: byOutcome('onsale_confirmations_total', 'Requests to confirm a hold by outcome'),
    release: byOutcome('onsale_releases_total', 'Requests to release a hold by outcome'),
    cancel: byOutcome('onsale_cancellations_total', 'Requests to cancel a purchase by outcome'),
  };
  const faults = countedByHand(registry, 'onsale_database_faults_total', 'Failed attempts at a batch', 'fault', []);
  const batchRequests = histogram('onsale_batch_requests', 'Requests in a batch', [1, 2, 5, 10, 20, 50, 100, 200, 500]);
  const queueWait = histogram('onsale_queue_wait_seconds', "Queue wait of a batch's first request", secondsBuckets);
  const batchTime = histogram('onsale_batch_seconds', 'Duration of a transaction, an upper bound on its row lock', secondsBuckets, [
    'path',
  ]);
  return {
    outcome: (request, outcome) => {
      outcomes[request](labelOf(outcome));
    },
    refused,
    began: (requests, waitedMs) => {
      batchRequests.observe(requests);
      queueWait.observe(waitedMs / 1000);
    },
    ended: (path, tookMs) => {
      batchTime.observe({ path }, tookMs / 1000);
    },
    fault: (fault, error, carried) => {
      faults(fault.transient ? fault.name : 'permanent');
      onFault(fault, error, carried);
    },
  };
}

/** Rendering takes a millisecond of the event loop, so two renderings are at least this far apart. */
const renderEveryMs = 50;

/** @returns the registry as text; concurrent requests share one rendering */
function sharedText(registry: Registry): () => Promise<string> {
  let renderedAtMs = -Infinity;
  return singleFlight(async () => {
    await pause(Math.max(0, renderedAtMs + renderEveryMs - performance.now()));
    renderedAtMs = performance.now();
    return registry.metrics();
  });
}

/**
 * A counter that is kept in a map and copied to the registry at each scrape: a labelled counter of prom-client builds a text key
 * for its label on every increment, and there are thousands a second.
 *
 * @returns a function that increments the counter of a label value
 */
function countedByHand(registry: Registry, name: string, help: string, label: string, known: readonly string[]): (value: string) => void {
  const counts = new Map(known.map((value) => [value, 0]));
  new Counter({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset();
      for (const [value, count] of counts) this.inc({ [label]: value }, count);
    },
  });
  return (value) => {
    counts.set(value, (counts.get(value) ?? 0) + 1);
  };
}
