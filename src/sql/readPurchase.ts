import type { PrismaClient, Queryable } from '../db/client.js';
import { fence } from '../db/fence.js';
import type { Purchase } from '../sale/types.js';
import { lockPurchases } from './lockPurchases.js';
import { purchaseColumns, type PurchaseRow, ticketIds, toPurchase } from './purchaseColumns.js';

type Row = (PurchaseRow & { readonly isProven: boolean }) | { readonly id: null; readonly isProven: boolean };

/**
 * The purchase as it is at this moment. If it is missing, the statement also fences: a replaced primary must never deny an
 * acknowledged purchase.
 *
 * A hold whose time is over may be about to be confirmed by a transaction that began before. So it is locked and read again: after
 * the lock, it is either confirmed or can never be.
 *
 * @returns undefined if the event has no such purchase
 */
export async function readPurchase(
  db: Pick<PrismaClient, '$queryRaw'>,
  eventId: string,
  purchaseId: string,
): Promise<Purchase | undefined> {
  const [row] = await db.$queryRaw<Row[]>`
    WITH found AS MATERIALIZED (
      SELECT ${purchaseColumns}, ${ticketIds} AS "ticketIds"
        FROM purchases p
       WHERE p.event_id = ${eventId}::uuid AND p.id = ${purchaseId}::uuid
    )
    SELECT found.*, proof."isProven"
      FROM (SELECT CASE WHEN EXISTS (SELECT FROM found) THEN false ELSE (${fence}) IS NOT NULL END AS "isProven") proof
      LEFT JOIN found ON true`;
  if (!row) throw new Error('a statement that always returns a row returned none');
  if (row.id !== null) return row.isDue ? settledPurchase(db, eventId, purchaseId) : toPurchase(row);
  if (!row.isProven) throw new Error('a purchase is missing, and the server did not prove that it is the primary');
  return undefined;
}

async function settledPurchase(db: Queryable, eventId: string, purchaseId: string): Promise<Purchase | undefined> {
  const { purchases } = await lockPurchases(db, eventId, { ids: [purchaseId] });
  return purchases[0]?.purchase;
}
