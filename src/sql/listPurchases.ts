import type { Queryable } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import type { Purchase, PurchaseStatus } from '../sale/types.js';
import { lockPurchases } from './lockPurchases.js';
import { isDue, purchaseColumns, type PurchaseRow, ticketIds, toPurchase } from './purchaseColumns.js';

/** Undefined: any. */
export interface PurchaseFilter {
  /** By the database's clock: a hold that is due is `expired`. */
  readonly status: PurchaseStatus | undefined;
  readonly buyerId: string | undefined;
  readonly reference: string | undefined;
}

export interface PageOfPurchases {
  readonly purchases: readonly Purchase[];
  /** The cursor of the next page; undefined if this is the last one. */
  readonly next: string | undefined;
}

/** Above every UUID that this service makes, so that the first page needs no statement of its own. */
const newest = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/**
 * A page of an event's purchases, newest first. Ids are UUIDv7, so the primary key is in creation order.
 *
 * What a page of 100 costs in an event of a million purchases, in a session that has run the statement six times before, with
 * statistics of 400 purchases from before the sale and with fresh ones (two cores that other work kept busy):
 *
 *   no filter, first page or after half a million    0.04 ms   0.04 ms   the primary key, backward
 *   a status, one purchase in 20 or more             0.2 ms    0.2 ms    the same; it reads every purchase that it passes …
 *   a status, one in 1,000 or fewer                  500 ms    350 ms    … at most the whole event
 *   `expired`, one in 17                             480 ms    0.2 ms    with old statistics it reads and sorts the whole event
 *   `held`, a thousand holds                         0.6 ms    2 ms      the index of holds; it sorts all that are not due
 *   a buyer or a reference of a few purchases        0.01 ms   0.01 ms   their index; it sorts all purchases of the buyer
 *   a buyer or a reference of 100,000                200 ms    240 ms    the same
 *
 * The tickets of a page add 0.3 ms. So a page costs at most one pass over the event, on a connection of the admin. Reading by the
 * primary key in a subquery of its own (OFFSET 0) does not keep the planner from the sort, and costs 1.1 s then. An index for each
 * filter would be written by every sale.
 *
 * @param page `before`: the last id of the previous page; `limit`: the number of purchases, at least 1. A page may have fewer, and yet
 *   not be the last one
 */
export async function listPurchases(
  db: Queryable,
  eventId: string,
  filter: PurchaseFilter,
  page: { readonly before: string | undefined; readonly limit: number },
): Promise<PageOfPurchases> {
  const rows = await db.$queryRaw<PurchaseRow[]>`
    SELECT ${purchaseColumns}, ${ticketIds} AS "ticketIds"
      FROM (SELECT *
              FROM purchases p
             WHERE p.event_id = ${eventId}::uuid AND p.id < ${page.before ?? newest}::uuid ${conditionsOf(filter)}
             ORDER BY p.id DESC
             LIMIT ${page.limit + 1}::int) AS p
     ORDER BY p.id DESC`;
  const shown = rows.slice(0, page.limit);
  const next = rows.length > page.limit ? shown.at(-1)?.id : undefined;
  const purchases = await settled(db, eventId, shown);
  return { purchases: purchases.filter(({ status }) => filter.status === undefined || status === filter.status), next };
}

function conditionsOf({ status, buyerId, reference }: PurchaseFilter): Prisma.Sql {
  const conditions = [
    ...(status === undefined ? [] : [isOf(status)]),
    ...(buyerId === undefined ? [] : [Prisma.sql`AND p.buyer_id = ${buyerId}`]),
    ...(reference === undefined ? [] : [Prisma.sql`AND p.reference = ${reference}`]),
  ];
  return conditions.length === 0 ? Prisma.empty : Prisma.join(conditions, ' ');
}

function isOf(status: PurchaseStatus): Prisma.Sql {
  switch (status) {
    case 'held':
      return Prisma.sql`AND p.status = 'held' AND p.expires_at > statement_timestamp()`;
    case 'expired':
      return Prisma.sql`AND (p.status = 'expired' OR ${isDue})`;
    default:
      return Prisma.sql`AND p.status = ${status}::purchase_status`;
  }
}

/**
 * Locks the due holds among the purchases and reads them again, as `readPurchase` does: until then, a transaction that began before
 * their time may still confirm them.
 */
async function settled(db: Queryable, eventId: string, rows: readonly PurchaseRow[]): Promise<Purchase[]> {
  const due = rows.filter((row) => row.isDue).map(({ id }) => id);
  if (due.length === 0) return rows.map(toPurchase);
  const { purchases } = await lockPurchases(db, eventId, { ids: due });
  const byId = new Map(purchases.map(({ purchase }) => [purchase.id, purchase]));
  return rows.map((row) => byId.get(row.id) ?? toPurchase(row));
}
