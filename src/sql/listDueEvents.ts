import type { PrismaClient } from '../db/client.js';

/**
 * Events with due holds: holds that have expired and are still marked as held.
 *
 * The index of holds begins with the event, so the statement jumps from one event that has any hold to the next, which costs one
 * look-up for each (a "loose index scan"), and looks at the oldest hold of each.
 *
 * @param page `after`: the last event id of the previous page; `limit`: the number of events to look at
 * @returns `events`: those with due holds; `last`: the id of the last event looked at, undefined if there are no further ones
 */
export async function listDueEvents(
  db: Pick<PrismaClient, '$queryRaw'>,
  { after = '00000000-0000-0000-0000-000000000000', limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<{ readonly events: readonly string[]; readonly last: string | undefined }> {
  const rows = await db.$queryRaw<{ eventId: string; isDue: boolean }[]>`
    WITH RECURSIVE holding (event_id, number) AS (
      (SELECT event_id, 1 FROM purchases WHERE status = 'held' AND event_id > ${after}::uuid ORDER BY event_id LIMIT 1)
       UNION ALL
      SELECT next.event_id, holding.number + 1
        FROM holding,
             LATERAL (SELECT event_id FROM purchases WHERE status = 'held' AND event_id > holding.event_id ORDER BY event_id LIMIT 1) AS next
       WHERE holding.number < ${limit}::int
    )
    SELECT event_id AS "eventId",
           EXISTS (SELECT FROM purchases p WHERE p.event_id = holding.event_id AND p.status = 'held' AND p.expires_at <= statement_timestamp()) AS "isDue"
      FROM holding`;
  return {
    events: rows.filter(({ isDue }) => isDue).map(({ eventId }) => eventId),
    last: rows.length < limit ? undefined : rows.at(-1)?.eventId,
  };
}
