import type { Queryable } from '../db/client.js';

export interface SoldOut {
  readonly maxPurchaseLimit: number;
}

/**
 * Is nothing left of the event, and is none of these keys a purchase of it? One snapshot and no lock: where it shows that
 * nothing is available, every purchase that took something is in it too, and no other can be under way.
 *
 * @returns undefined if something is left, a key was used, or there is no such event
 */
export async function readSoldOut(db: Queryable, eventId: string, keys: readonly string[]): Promise<SoldOut | undefined> {
  const keyList = `{${keys.map((key) => JSON.stringify(key)).join()}}`;
  const rows = await db.$queryRaw<SoldOut[]>`
    SELECT e.max_purchase_limit AS "maxPurchaseLimit"
      FROM events e
     WHERE e.id = ${eventId}::uuid
       AND e.available = 0
       AND NOT EXISTS (SELECT FROM purchases p WHERE p.event_id = e.id AND p.idempotency_key = ANY (${keyList}::text[]))`;
  return rows[0];
}
