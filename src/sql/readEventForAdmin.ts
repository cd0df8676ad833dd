import type { PrismaClient } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import { eventColumns, type EventRow } from './eventColumns.js';
import { holdTotals } from './holdTotals.js';

export interface AdminEventRow extends EventRow {
  readonly held: number;
  readonly sold: number;
}

/**
 * One event, with what is held and what is sold of it: what is not available and not held is sold. It reads the index entries of
 * the holds and counts no purchases.
 *
 * @returns undefined if the event does not exist
 */
export async function readEventForAdmin(db: Pick<PrismaClient, '$queryRaw'>, eventId: string): Promise<AdminEventRow | undefined> {
  const rows = await db.$queryRaw<AdminEventRow[]>`
    SELECT ${eventColumns}, holds.live AS held, events.total_quota - events.available - holds.total AS sold
      FROM events,
           LATERAL ${holdTotals(Prisma.sql`events.id`)} AS holds
     WHERE events.id = ${eventId}::uuid`;
  return rows[0];
}
