import { Prisma } from '../generated/prisma/client.js';

/**
 * The tickets in the holds of an event, for LATERAL: `total`, all that are marked as held, which `available` lacks; `live`, those of
 * them that have not expired. It reads an index entry for each hold.
 */
export function holdTotals(eventId: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(
             SELECT coalesce(sum(quantity), 0)::int AS total,
                    coalesce(sum(quantity) FILTER (WHERE expires_at > statement_timestamp()), 0)::int AS live
               FROM purchases
              WHERE event_id = ${eventId} AND status = 'held')`;
}
