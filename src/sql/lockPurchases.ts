import type { Queryable } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import type { ExistingPurchase } from '../sale/types.js';
import { keyedColumns, type KeyedPurchaseRow, toExisting } from './purchaseColumns.js';

/** Which purchases of an event to lock. Those that do not exist are left out. */
export interface Wanted {
  readonly ids?: readonly string[];
  readonly keys?: readonly string[];
  /** At most this number of due holds: holds that have expired and are still marked as held, the longest due first. */
  readonly dueMax?: number;
  /** In addition, due holds of these buyers, at most `dueOfBuyerMax` of each. */
  readonly buyerIds?: readonly string[];
}

export interface Locked {
  readonly purchases: readonly ExistingPurchase[];
  /** The ids of those that are due holds. */
  readonly due: readonly string[];
}

/** More than any buyer needs to expire for one purchase: a hold has at least one ticket. */
const dueOfBuyerMax = 1_000;

/**
 * Locks purchases until the end of the transaction, in the order of their ids. The lock waits for the session that changes one of them: a
 * confirmation takes no lock on the event, so without this one a hold could be found expired and be confirmed afterwards. A
 * confirmation locks in the same order, so the two never deadlock; therefore a transaction locks all of its purchases at once.
 *
 * On the locked path this is a separate statement after the lock of the event: only then does its snapshot include the commit of
 * the previous holder of that lock. The tickets are yet another statement, for the same reason: a confirmation that this one
 * waited for has written them since it began.
 *
 * Each id and key is looked up separately: OFFSET 0 keeps the planner from flattening the look-up into a join. With `= ANY` and
 * statistics from before the sale, the planner takes the event for a small one and reads all of its purchases by the primary key:
 * a look-up of 16 keys took 1.5 ms of processor time that way, and 0.5 ms one by one. For the same reason the last join takes
 * the event from `found` and not from the parameter, here and in the other statements that join purchases. The due holds of a buyer
 * are looked for by the index of buyers; readSnapshot.ts explains the comparison as text.
 */
export async function lockPurchases(
  db: Queryable,
  eventId: string,
  { ids = [], keys = [], dueMax = 0, buyerIds = [] }: Wanted,
): Promise<Locked> {
  const dueOfEvent =
    dueMax === 0
      ? Prisma.empty
      : Prisma.sql`
      UNION (SELECT event_id, id
               FROM purchases
              WHERE event_id = ${eventId}::uuid AND status = 'held' AND expires_at <= statement_timestamp()
              ORDER BY expires_at
              LIMIT ${dueMax}::int)`;
  const dueOfBuyers =
    buyerIds.length === 0
      ? Prisma.empty
      : Prisma.sql`
      UNION
     SELECT hold.event_id, hold.id
       FROM unnest(${buyerIds}::text[]) AS buyer (id),
            LATERAL (SELECT event_id, id
                       FROM purchases
                      WHERE event_id = ${eventId}::uuid AND buyer_id = buyer.id AND status::text = 'held' AND expires_at <= statement_timestamp()
                      LIMIT ${dueOfBuyerMax}::int) AS hold`;
  const rows = await db.$queryRaw<KeyedPurchaseRow[]>`
    WITH found AS MATERIALIZED (
     SELECT known.event_id, known.id
       FROM unnest(${ids}::uuid[]) AS asked (id),
            LATERAL (SELECT event_id, id FROM purchases WHERE event_id = ${eventId}::uuid AND id = asked.id OFFSET 0) AS known
      UNION
     SELECT known.event_id, known.id
       FROM unnest(${keys}::text[]) AS asked (key),
            LATERAL (SELECT event_id, id FROM purchases WHERE event_id = ${eventId}::uuid AND idempotency_key = asked.key OFFSET 0) AS known
     ${dueOfEvent} ${dueOfBuyers}
    )
    SELECT ${keyedColumns}
      FROM found, purchases p
     WHERE p.event_id = found.event_id AND p.id = found.id
     ORDER BY p.id
       FOR NO KEY UPDATE OF p`;
  const tickets = await readTickets(db, eventId, rows);
  return {
    purchases: rows.map((row) => toExisting({ ...row, ticketIds: tickets.get(row.id) ?? [] })),
    due: rows.filter(({ isDue }) => isDue).map(({ id }) => id),
  };
}

/** The tickets of those purchases that have any, by purchase, in the order of their ids. */
async function readTickets(db: Queryable, eventId: string, rows: readonly KeyedPurchaseRow[]): Promise<ReadonlyMap<string, string[]>> {
  const ids = rows.filter(({ status }) => status === 'confirmed' || status === 'cancelled').map(({ id }) => id);
  if (ids.length === 0) return new Map();
  const found = await db.$queryRaw<{ purchaseId: string; ids: string[] }[]>`
    SELECT asked.id AS "purchaseId",
           ARRAY (SELECT t.id::text FROM tickets t WHERE t.event_id = ${eventId}::uuid AND t.purchase_id = asked.id ORDER BY t.id) AS ids
      FROM unnest(${ids}::uuid[]) AS asked (id)`;
  return new Map(found.map(({ purchaseId, ids: own }) => [purchaseId, own]));
}
