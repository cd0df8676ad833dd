import type { Queryable } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import type { Purchase } from '../sale/types.js';
import { returnTickets } from './returnTickets.js';

interface Row {
  purchases: number;
  tickets: number;
}

/**
 * Releases or cancels purchases: what they took is available again, to their buyers too. The tickets of a cancelled purchase stay
 * as they are; they are void because their purchase is cancelled. The caller has locked the event and the purchases, and knows that
 * each of them still has what it gives back.
 *
 * @param purchases as they are to be, `released` or `cancelled`
 */
export async function giveBack(tx: Queryable, eventId: string, purchases: readonly Purchase[]): Promise<void> {
  const [row] = await tx.$queryRaw<Row[]>`
    WITH new AS MATERIALIZED (
      SELECT ${eventId}::uuid AS event_id, id, status
        FROM unnest(${purchases.map(({ id }) => id)}::uuid[], ${purchases.map(({ status }) => status)}::text[]) AS new (id, status)
    ), ended AS (
      UPDATE purchases p
         SET status = new.status::purchase_status
        FROM new
       WHERE p.event_id = new.event_id AND p.id = new.id AND p.status IN ('held', 'confirmed')
      RETURNING p.quantity, p.buyer_id
    )${returnTickets(eventId, Prisma.sql`back.purchases, back.tickets`)}`;
  const expected = purchases.reduce((sum, { quantity }) => sum + quantity, 0);
  if (row?.purchases !== purchases.length || row.tickets !== expected) {
    throw new Error(`expected ${String(purchases.length)} purchases to give back ${String(expected)} tickets, not ${JSON.stringify(row)}`);
  }
}
