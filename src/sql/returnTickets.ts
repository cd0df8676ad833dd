import { Prisma } from '../generated/prisma/client.js';

/**
 * The end of a statement that ends purchases: what they took is available again, to their buyers too. It follows a CTE named `ended`,
 * with the quantity and the buyer of each purchase, and makes one named `back`, with the `purchases` and the `tickets` given back. The
 * caller has locked the event's row.
 *
 * @param returning of the events' row and `back`; there is no row if no purchase was ended
 */
export function returnTickets(eventId: string, returning: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`, uncounted AS (
      UPDATE buyer_totals t
         SET quantity = t.quantity - own.quantity
        FROM (SELECT buyer_id, sum(quantity)::int AS quantity FROM ended WHERE buyer_id IS NOT NULL GROUP BY buyer_id) AS own
       WHERE t.event_id = ${eventId}::uuid AND t.buyer_id = own.buyer_id
    ), back AS (
      SELECT coalesce(sum(quantity), 0)::int AS tickets, count(*)::int AS purchases FROM ended
    )
    UPDATE events
       SET available = available + back.tickets, updated_at = statement_timestamp()
      FROM back
     WHERE events.id = ${eventId}::uuid AND back.purchases > 0
    RETURNING ${returning}`;
}
