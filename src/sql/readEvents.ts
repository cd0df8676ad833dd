import type { PrismaClient } from '../db/client.js';
import { fence } from '../db/fence.js';
import { eventColumns, type EventRow } from './eventColumns.js';

type Row = (EventRow | { readonly id: null }) & { readonly isProven: boolean };

/**
 * The events that exist among `ids`, in no particular order, as committed when the query starts. It takes no lock: reads never
 * wait for a sale, and a sale never waits for reads.
 *
 * If an event is missing, the statement also fences: a buyer does not retry after "event not found", so a replaced primary must
 * not give that answer for an event that its successor sells.
 *
 * @param ids without duplicates
 */
export async function readEvents(db: Pick<PrismaClient, '$queryRaw'>, ids: readonly string[]): Promise<EventRow[]> {
  const rows = await db.$queryRaw<Row[]>`
    WITH found AS MATERIALIZED (
      SELECT ${eventColumns}
        FROM events
       WHERE id = ANY (${ids}::uuid[])
    )
    SELECT found.*, proof."isProven"
      FROM (SELECT CASE WHEN (SELECT count(*) FROM found) < ${ids.length}::int THEN (${fence}) IS NOT NULL ELSE false END
                     AS "isProven") proof
      LEFT JOIN found ON true`;
  const events = rows.filter((row): row is Row & EventRow => row.id !== null);
  if (events.length < ids.length && rows[0]?.isProven !== true)
    throw new Error('an event is missing, and the server did not prove that it is the primary');
  return events;
}

/** The same without a fence: for missing events it proves nothing, and the caller must query them again. */
export async function readEventsUnfenced(db: Pick<PrismaClient, '$queryRaw'>, ids: readonly string[]): Promise<EventRow[]> {
  return db.$queryRaw<EventRow[]>`
    SELECT ${eventColumns}
      FROM events
     WHERE id = ANY (${ids}::uuid[])`;
}
