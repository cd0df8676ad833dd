import type { PrismaClient } from '../db/client.js';
import type { EventRow } from './eventColumns.js';

/**
 * A page of events, newest first. Ids are UUIDv7, so the primary key is in creation order.
 *
 * @param page `after`: the last id of the previous page; `limit`: the number of rows, at least 1
 */
export async function listEvents(
  db: Pick<PrismaClient, 'event'>,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<EventRow[]> {
  return db.event.findMany({
    ...(page.after === undefined ? {} : { where: { id: { lt: page.after } } }),
    orderBy: { id: 'desc' },
    take: page.limit,
  });
}
