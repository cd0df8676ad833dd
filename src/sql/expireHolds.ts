import type { PrismaClient, Queryable } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import { returnTickets } from './returnTickets.js';

interface Row {
  readonly holds: number;
  readonly available: number;
  readonly workedMs: number;
}

export interface Swept extends Pick<Row, 'holds'> {
  /** How long the statement had the lock of the event. */
  readonly workedMs: number;
}

/**
 * Marks due holds as expired and makes their tickets available again, to their buyers too. The caller has locked the event and the
 * holds, and found the holds due.
 *
 * @returns what is available afterwards
 */
export async function expireHolds(tx: Queryable, eventId: string, ids: readonly string[]): Promise<number> {
  const due = Prisma.sql`SELECT ${eventId}::uuid AS event_id, id, statement_timestamp() AS locked_at FROM unnest(${ids}::uuid[]) AS due (id)`;
  const [row] = await tx.$queryRaw<Row[]>(expire(eventId, due));
  if (row?.holds !== ids.length) throw new Error(`expected ${String(ids.length)} holds to expire, not ${JSON.stringify(row)}`);
  return row.available;
}

/**
 * The same for the holds of an event that have been due the longest, except those that another session has locked: for a sweep.
 *
 * It is one statement, because everybody who buys waits for each round trip under the event's lock. If it waited for that lock, it
 * looks for due holds as of before the wait; to lock one, it checks its newest version again. The order of the locks does not
 * matter, because it waits for none of them. 200 holds take 3 ms.
 */
export async function sweepHolds(db: Pick<PrismaClient, '$queryRaw'>, eventId: string, holdsMax: number): Promise<Swept> {
  const due = Prisma.sql`
      SELECT hold.*, event.locked_at
        FROM (SELECT id, clock_timestamp() AS locked_at FROM (SELECT id FROM events WHERE id = ${eventId}::uuid FOR NO KEY UPDATE) AS row) AS event,
             LATERAL (SELECT event_id, id
                        FROM purchases
                       WHERE event_id = event.id AND status = 'held' AND expires_at <= statement_timestamp()
                       ORDER BY expires_at
                       LIMIT ${holdsMax}::int
                         FOR NO KEY UPDATE SKIP LOCKED) AS hold`;
  const [row] = await db.$queryRaw<Row[]>(expire(eventId, due));
  return row ?? { holds: 0, workedMs: 0 };
}

/**
 * The status is compared as text so that no plan looks for each hold among all due holds, by their index.
 *
 * @param due selects event and id of locked holds that are due, and when the event was locked
 */
function expire(eventId: string, due: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`
    WITH due AS MATERIALIZED (${due}
    ), ended AS (
      UPDATE purchases p
         SET status = 'expired'
        FROM due
       WHERE p.event_id = due.event_id AND p.id = due.id AND p.status::text = 'held' AND p.expires_at <= statement_timestamp()
      RETURNING p.quantity, p.buyer_id
    )${returnTickets(
      eventId,
      Prisma.sql`back.purchases AS holds, available, extract(epoch FROM clock_timestamp() - (SELECT min(locked_at) FROM due))::float8 * 1000 AS "workedMs"`,
    )}`;
}
