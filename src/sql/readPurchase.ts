import type { PrismaClient } from '../db/client.js';
import type { Purchase } from '../sale/types.js';

/** @returns undefined when the event has no such purchase */
export async function readPurchase(
  db: Pick<PrismaClient, '$queryRaw'>,
  eventId: string,
  purchaseId: string,
): Promise<Purchase | undefined> {
  const rows = await db.$queryRaw<Purchase[]>`
    SELECT p.id, p.event_id AS "eventId", p.quantity, p.created_at AS "createdAt",
           ARRAY (SELECT t.id::text
                    FROM tickets t
                   WHERE t.event_id = p.event_id AND t.purchase_id = p.id
                   ORDER BY t.id) AS "ticketIds"
      FROM purchases p
     WHERE p.event_id = ${eventId}::uuid AND p.id = ${purchaseId}::uuid`;
  return rows[0];
}
