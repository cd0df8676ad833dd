import type { PrismaClient } from '../db/client.js';
import type { EventRow } from './readEvents.js';

export interface EventChange {
  readonly name?: string | undefined;
  readonly maxPurchaseLimit?: number | undefined;
}

/**
 * Changes the name or the rules of an event. It waits for the batch that holds the row, and a changed rule increments the
 * revision: a statement that relies on rules of another revision sells nothing, so a lower limit binds every later batch.
 *
 * @returns undefined if the event does not exist
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
