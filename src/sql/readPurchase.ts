import type { PrismaClient } from '../db/client.js';
import { fence } from '../db/fence.js';
import type { Purchase } from '../sale/types.js';

type Row = (Purchase & { readonly isProven: boolean }) | { readonly id: null; readonly isProven: boolean };

/**
 * If the purchase is missing, the statement also fences: a replaced primary must never deny an acknowledged purchase.
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
      SELECT p.id, p.event_id AS "eventId", p.quantity, p.created_at AS "createdAt",
             ARRAY (SELECT t.id::text
                      FROM tickets t
                     WHERE t.event_id = p.event_id AND t.purchase_id = p.id
                     ORDER BY t.id) AS "ticketIds"
        FROM purchases p
       WHERE p.event_id = ${eventId}::uuid AND p.id = ${purchaseId}::uuid
    )
    SELECT found.*, proof."isProven"
      FROM (SELECT CASE WHEN EXISTS (SELECT FROM found) THEN false ELSE (${fence}) IS NOT NULL END AS "isProven") proof
      LEFT JOIN found ON true`;
  if (!row) throw new Error('a statement that always returns a row returned none');
  const { isProven, ...purchase } = row;
  if (purchase.id !== null) return purchase;
  if (!isProven) throw new Error('a purchase is missing, and the server did not prove that it is the primary');
  return undefined;
}
