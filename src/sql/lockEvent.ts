import type { Queryable } from '../db/client.js';

/** What a sale must know of its event, true until the transaction ends. */
export interface LockedEvent {
  readonly available: number;
  readonly maxPurchaseLimit: number;
}

/**
 * Takes the event's row until the end of the transaction; waits for the batch that has it, up to the lock timeout.
 *
 * FOR NO KEY UPDATE is the lock that the UPDATE after it takes anyway, and the weakest that excludes another batch.
 *
 * A statement that waited for a lock sees the newest version of the row it locked, but every other table as it was
 * before the wait. So nothing else may be read here: `WITH locked AS (… FOR UPDATE), recalled AS (SELECT …)` oversells.
 *
 * @returns undefined when there is no such event
 */
export async function lockEvent(tx: Queryable, eventId: string): Promise<LockedEvent | undefined> {
  const rows = await tx.$queryRaw<LockedEvent[]>`
    SELECT available, max_purchase_limit AS "maxPurchaseLimit"
      FROM events
     WHERE id = ${eventId}::uuid
       FOR NO KEY UPDATE`;
  return rows[0];
}
