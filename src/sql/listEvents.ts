import type { PrismaClient } from '../db/client.js';
import { Prisma } from '../generated/prisma/client.js';
import { eventColumns, type EventRow } from './eventColumns.js';

/**
 * A page of events, newest first. Ids are UUIDv7, so the primary key is in creation order.
 *
 * @param page `after`: the last id of the previous page; `limit`: the number of rows, at least 1
 */
export async function listEvents(
  db: Pick<PrismaClient, '$queryRaw'>,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<EventRow[]> {
  const older = page.after === undefined ? Prisma.empty : Prisma.sql`WHERE id < ${page.after}::uuid`;
  return db.$queryRaw<EventRow[]>`
    SELECT ${eventColumns}
      FROM events ${older}
     ORDER BY id DESC
     LIMIT ${page.limit}::int`;
}
