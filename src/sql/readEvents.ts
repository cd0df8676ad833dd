import type { PrismaClient } from '../db/client.js';
import { fence } from '../db/fence.js';
import { eventColumns, type EventRow } from './eventColumns.js';

type Row = (EventRow | { readonly id: null }) & { readonly isProven: boolean };

/**
 * The events that exist among `ids`, in no order, as committed when the query starts. Takes no lock: readers never wait
 * for a sale, nor a sale for them.
 *
 * If one is missing, the statement is a fence as well: a buyer does not come back after "no such event", so a primary that was
 * replaced must not say it of an event that its successor sells.
 *
 * @param ids each once
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
  if (events.length < ids.length && rows[0]?.isProven !== true) throw new Error('an event is missing, and nothing proves that it is');
  return events;
}

/** The same, for whoever asks again for those that are missing: of them it proves nothing, and it commits nothing. */
export async function glanceAtEvents(db: Pick<PrismaClient, '$queryRaw'>, ids: readonly string[]): Promise<EventRow[]> {
  return db.$queryRaw<EventRow[]>`
    SELECT ${eventColumns}
      FROM events
     WHERE id = ANY (${ids}::uuid[])`;
}
