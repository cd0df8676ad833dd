import type { PrismaClient } from '../db/client.js';
import type { EventRow } from './readEvents.js';

export interface EventChange {
  readonly name?: string | undefined;
  readonly maxPurchaseLimit?: number | undefined;
}

/**
 * Changes what may change. Waits for the batch that holds the row, so a lower limit binds every batch after it: a change of a
 * rule increments the revision, and no statement that rests on rules of another revision sells.
 *
 * @returns undefined when there is no such event
 */
export async function updateEvent(
  db: Pick<PrismaClient, '$queryRaw'>,
  id: string,
  { name, maxPurchaseLimit }: EventChange,
): Promise<EventRow | undefined> {
  const rows = await db.$queryRaw<EventRow[]>`
    UPDATE events
       SET name = coalesce(${name ?? null}::text, name),
           max_purchase_limit = coalesce(${maxPurchaseLimit ?? null}::int, max_purchase_limit),
           revision = revision + CASE WHEN ${maxPurchaseLimit ?? null}::int IS NULL THEN 0 ELSE 1 END,
           updated_at = statement_timestamp()
     WHERE id = ${id}::uuid
    RETURNING id, name, total_quota AS "totalQuota", available, max_purchase_limit AS "maxPurchaseLimit", revision,
              created_at AS "createdAt", updated_at AS "updatedAt"`;
  return rows[0];
}
