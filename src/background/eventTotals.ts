/**
 * Keeps the metrics of what is left, held and sold by event. While the database is away they are absent: values that do not move would
 * look like a sale that stands still.
 */
import type { Queryable } from '../db/client.js';
import { classify } from '../db/faults.js';
import type { Readiness } from '../db/readiness.js';
import type { FaultLog } from '../observability/faultLog.js';
import type { Metrics } from '../observability/metrics.js';
import { type EventTotals, readEventTotals } from '../sql/readEventTotals.js';
import { type Loop, startLoop } from './loop.js';

const readEveryMs = 5_000;

/** @param eventsMax the newest events; 0: no metrics. @returns undefined if there are no metrics */
export function watchEventTotals(
  db: Queryable,
  eventsMax: number,
  readiness: Pick<Readiness, 'schemaKnown'>,
  metrics: Pick<Metrics, 'eventTotals'>,
  faults: Pick<FaultLog, 'failed'>,
  intervalMs = readEveryMs,
): Loop | undefined {
  if (eventsMax === 0) return undefined;
  let totals: readonly EventTotals[] = [];
  metrics.eventTotals(() => totals);
  return startLoop({
    intervalMs,
    runOnce: async () => {
      totals = readiness.schemaKnown() ? await readEventTotals(db, eventsMax) : [];
      return false;
    },
    onFault: (error) => {
      totals = [];
      faults.failed('a read of the totals of events', classify(error), error);
    },
  });
}
