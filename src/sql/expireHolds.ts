import type { Queryable } from '../db/client.js';

interface Row {
  holds: number;
  available: number;
}

/**
 * Marks due holds as expired and makes their tickets available again, to their buyers too. The caller has locked the event and the
 * holds, and found them due.
 *
 * The status is compared as text so that no plan looks for each of them among all due holds, by their index.
 *
 * @returns what is available afterwards
 */
export async function expireHolds(tx: Queryable, eventId: string, ids: readonly string[]): Promise<number> {
  const [row] = await tx.$queryRaw<Row[]>`
    WITH due AS MATERIALIZED (
      SELECT ${eventId}::uuid AS event_id, id FROM unnest(${ids}::uuid[]) AS due (id)
    ), expired AS (
      UPDATE purchases p
         SET status = 'expired'
        FROM due
       WHERE p.event_id = due.event_id AND p.id = due.id AND p.status::text = 'held' AND p.expires_at <= statement_timestamp()
      RETURNING p.quantity, p.buyer_id
    ), uncounted AS (
      UPDATE buyer_totals t
         SET quantity = t.quantity - back.quantity
        FROM (SELECT buyer_id, sum(quantity)::int AS quantity FROM expired WHERE buyer_id IS NOT NULL GROUP BY buyer_id) AS back
       WHERE t.event_id = ${eventId}::uuid AND t.buyer_id = back.buyer_id
    ), back AS (
      SELECT coalesce(sum(quantity), 0)::int AS tickets, count(*)::int AS holds FROM expired
    )
    UPDATE events
       SET available = available + back.tickets, updated_at = statement_timestamp()
      FROM back
     WHERE events.id = ${eventId}::uuid
    RETURNING back.holds, available`;
  if (row?.holds !== ids.length) throw new Error(`expected ${String(ids.length)} holds to expire, not ${JSON.stringify(row)}`);
  return row.available;
}
