/**
 * Expiry needs no background job to be correct: a hold whose time is over counts as available in every read, can never be
 * confirmed, and is made available by the batch that needs its tickets. The sweep only tidies, so that such batches are rare.
 */
import type { Pool, Queryable } from '../db/client.js';
import { expireHolds, type Swept, sweepHolds } from '../sql/expireHolds.js';
import { listDueEvents } from '../sql/listDueEvents.js';
import { type Locked, lockPurchases, type Wanted } from '../sql/lockPurchases.js';

/** Due holds that a batch expires at least, if it needs any: the following batches then find enough and take the fast path. */
const holdsPerBatchMin = 200;

export interface Freed extends Pick<Locked, 'purchases'> {
  /** What is available after the due holds among the locked purchases were expired. */
  readonly available: number;
}

/**
 * Locks the purchases that a batch needs, and expires holds until enough tickets are available or no hold is due. The event is locked.
 *
 * @param missing tickets that the batch wants beyond `available`; not positive if there are enough
 */
export async function lockAndFree(
  tx: Queryable,
  eventId: string,
  wanted: Omit<Wanted, 'dueMax'>,
  available: number,
  missing: number,
): Promise<Freed> {
  const enough = available + missing;
  const dueMax = missing > 0 ? Math.max(missing, holdsPerBatchMin) : 0;
  const { purchases, due } = await lockPurchases(tx, eventId, { ...wanted, dueMax });
  if (due.length > 0) available = await expireHolds(tx, eventId, due);
  // Holds that were due when the statement began may have been confirmed just before. Then others may be due in their place.
  for (let found = purchases.length; available < enough && found >= dueMax;) {
    const more = await lockPurchases(tx, eventId, { dueMax });
    found = more.purchases.length;
    if (more.due.length > 0) available = await expireHolds(tx, eventId, more.due);
  }
  return { purchases, available };
}

/** Events looked at in one statement. */
const eventsPerPage = 100;
/** Holds expired in one transaction, which keeps the event's lock for about 7 ms. */
const holdsPerTransaction = 500;

/**
 * One round: a transaction for each event with due holds. Any number of replicas can sweep at the same time: they skip the holds
 * that another one has locked.
 *
 * @param onSwept called after each transaction; the round waits for it, and ends if it resolves with false
 * @returns `isMore`: whether holds were left that this round had no room for
 */
export async function sweep(pool: Pool, onSwept: (swept: Swept) => Promise<boolean>): Promise<{ readonly isMore: boolean }> {
  let isMore = false;
  let after: string | undefined;
  do {
    const { events, last } = await listDueEvents(pool.prisma, { after, limit: eventsPerPage });
    for (const eventId of events) {
      const swept = await sweepHolds(pool.prisma, eventId, holdsPerTransaction);
      isMore ||= swept.holds === holdsPerTransaction;
      if (!(await onSwept(swept))) return { isMore };
    }
    after = last;
  } while (after !== undefined);
  return { isMore };
}
