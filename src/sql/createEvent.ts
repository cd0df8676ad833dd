import type { PrismaClient } from '../db/client.js';
import type { RuleValues } from '../sale/types.js';
import { eventColumns, type EventRow } from './eventColumns.js';

export interface NewEvent extends RuleValues {
  /** UUIDv7 */
  readonly id: string;
  readonly name: string;
  readonly totalQuota: number;
}

/** Creates an event with its whole quota available. Its times, like all times, come from the database. */
export async function createEvent(db: Pick<PrismaClient, '$queryRaw'>, event: NewEvent): Promise<EventRow> {
  const { id, name, totalQuota, maxPurchaseLimit, saleStartsAt, saleEndsAt, maxPerBuyer, holdSeconds } = event;
  const [row] = await db.$queryRaw<EventRow[]>`
    INSERT INTO events (id, name, total_quota, available, max_purchase_limit, sale_starts_at, sale_ends_at, max_per_buyer, hold_seconds)
    VALUES (${id}::uuid, ${name}, ${totalQuota}::int, ${totalQuota}::int, ${maxPurchaseLimit}::int, ${saleStartsAt}::timestamptz,
            ${saleEndsAt}::timestamptz, ${maxPerBuyer}::int, ${holdSeconds}::int)
    RETURNING ${eventColumns}`;
  if (!row) throw new Error('an INSERT returned no row');
  return row;
}
