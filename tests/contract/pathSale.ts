import { Batcher } from '../../src/concurrency/batcher.js';
import type { Pool } from '../../src/db/client.js';
import { sellFast } from '../../src/sale/fastPath.js';
import { sellLocked } from '../../src/sale/lockedPath.js';
import { refuseBySnapshot } from '../../src/sale/snapshotPath.js';
import type { EventRequest, Outcome, Rules } from '../../src/sale/types.js';
import { type AnySale, batchedSale, rulesWhenMade } from '../support/sales.js';

export interface PathSale extends AnySale {
  /** The batches that the path answered, without the locked path. */
  readonly answered: number;
}

/**
 * A sale without hints: every batch goes to one path, and to the locked path if that one has no answer. So a path is used also
 * where the sale would not have chosen it.
 *
 * @param expectsReplays of the fast path: it looks keys up
 */
export function pathSale(pool: Pool, path: 'fast' | 'snapshot' | 'locked', expectsReplays = false): PathSale {
  let answered = 0;
  const confirming = batchedSale(pool, { queueWaitMs: 20_000, deadlineMs: 20_000 });
  const cached = new Map<string, Rules>();
  const attempt = async (eventId: string, requests: readonly EventRequest[]): Promise<Outcome[] | undefined> => {
    const rules = cached.get(eventId) ?? rulesWhenMade(eventId);
    if (path === 'locked' || requests.some(({ kind }) => kind !== 'buy')) return undefined;
    if (path === 'snapshot') return refuseBySnapshot(pool, eventId, requests, rules);
    return rules && (await sellFast(pool, [{ eventId, requests, rules, expectsReplays }]))[0];
  };
  const queue = new Batcher<string, EventRequest, Outcome>({
    run: async (eventId, requests) => {
      const outcomes = await attempt(eventId, requests);
      if (outcomes) answered += 1;
      if (outcomes) return outcomes;
      const locked = await sellLocked(pool, eventId, requests, false);
      if (locked.rules) cached.set(eventId, locked.rules);
      return locked.outcomes;
    },
    batchSizeMax: 5,
  });
  return {
    get answered() {
      return answered;
    },
    sell: (eventId, request) => queue.submit(eventId, request),
    confirm: (request) => confirming.confirm(request),
    close: () => confirming.close(),
  };
}
