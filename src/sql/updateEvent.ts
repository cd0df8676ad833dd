import type { PrismaClient } from '../db/client.js';
import type { RuleChange } from '../sale/types.js';
import { eventColumns, type EventRow, setRules } from './eventColumns.js';
import { readEvents } from './readEvents.js';

export type EventChange = RuleChange & { readonly name?: string | undefined };

export type EventUpdate =
  | { readonly kind: 'changed'; readonly event: EventRow }
  /** Nothing was changed: `maxPurchaseLimit` would exceed the quota. */
  | { readonly kind: 'limit above quota'; readonly totalQuota: number };

/**
 * Changes the name or the rules of an event. It waits for the batch that holds the row, and a changed rule increments the
 * revision: a statement that relies on rules of another revision sells nothing, so a changed rule binds every later batch.
 *
 * It waits in a statement of its own, because it also shows the event: what is available includes expired holds, which a statement
 * that waited would see as they were before the wait. The holder of the lock may have made them available meanwhile, and they
 * would count twice.
 *
 * @returns undefined if the event does not exist
 * @throws a violation of `events_sale_window` if the sale would end before it starts
 */
export async function updateEvent(
  db: Pick<PrismaClient, '$queryRaw' | '$transaction'>,
  id: string,
  { name, ...rules }: EventChange,
): Promise<EventUpdate | undefined> {
  const limit = rules.maxPurchaseLimit ?? null;
  const lock = db.$queryRaw`
    SELECT id
      FROM events
     WHERE id = ${id}::uuid
       FOR NO KEY UPDATE`;
  const update = db.$queryRaw<EventRow[]>`
    UPDATE events
       SET name = coalesce(${name ?? null}::text, name),
           ${setRules(rules)},
           updated_at = statement_timestamp()
     WHERE id = ${id}::uuid AND (${limit}::int <= total_quota) IS NOT FALSE
    RETURNING ${eventColumns}`;
  const [, [event]] = await db.$transaction([lock, update]);
  if (event) return { kind: 'changed', event };
  const [existing] = await readEvents(db, [id]);
  return existing && { kind: 'limit above quota', totalQuota: existing.totalQuota };
}
