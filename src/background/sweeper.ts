/** Tidies up expired holds. Nothing depends on it for being correct (sale/expiry.ts). */
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from '../db/client.js';
import { classify } from '../db/faults.js';
import type { Readiness } from '../db/readiness.js';
import type { Metrics } from '../observability/metrics.js';
import { sweep } from '../sale/expiry.js';
import { type Loop, startLoop } from './loop.js';

/** After each transaction the sweep rests for this number of times as long as it had the event's lock, so that the sale has nine tenths of it. */
const restFactor = 9;

interface Log {
  warn(details: object, message: string): void;
}

/** @param pool not that of the sale, whose connections are all spoken for */
export function startSweeper(
  pool: Pool,
  intervalMs: number,
  readiness: Pick<Readiness, 'schemaKnown'>,
  metrics: Pick<Metrics, 'swept'>,
  log: Log,
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
      log.warn({ fault: classify(error).name }, 'a sweep of expired holds failed; it is repeated');
    },
  });
}
