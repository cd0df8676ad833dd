/** Tidies up expired holds. Nothing depends on it for being correct (sale/expiry.ts). */
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from '../db/client.js';
import { classify } from '../db/faults.js';
import type { Readiness } from '../db/readiness.js';
import type { FaultLog } from '../observability/faultLog.js';
import type { Metrics } from '../observability/metrics.js';
import { sweep } from '../sale/expiry.js';
import { type Loop, startLoop } from './loop.js';

/** After each transaction the sweep rests for this number of times as long as it had the event's lock, so that the sale has nine tenths of it. */
const restFactor = 9;

/** @param pool not that of the sale, whose connections are all spoken for */
export function startSweeper(
  pool: Pool,
  intervalMs: number,
  readiness: Pick<Readiness, 'schemaKnown'>,
  metrics: Pick<Metrics, 'swept'>,
  faults: Pick<FaultLog, 'failed'>,
): Loop {
  return startLoop({
    intervalMs,
    runOnce: async (stopping) => {
      if (!readiness.schemaKnown()) return false; // an older schema has no holds
      const { isMore } = await sweep(pool, async ({ holds, workedMs }) => {
        metrics.swept(holds);
        await pause(workedMs * restFactor, undefined, { ref: false, signal: stopping }).catch(() => undefined);
        return !stopping.aborted;
      });
      return isMore;
    },
    onFault: (error) => {
      faults.failed('a sweep of expired holds', classify(error), error);
    },
  });
}
