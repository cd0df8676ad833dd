import type { Queryable } from '../db/client.js';
import { fence } from '../db/fence.js';
import type { EventState } from '../sale/types.js';
import { stateColumns, type StateRow, toState } from './eventColumns.js';

/**
 * Takes the event's row until the end of the transaction; waits for the batch that has it, up to the lock timeout.
 *
 * FOR NO KEY UPDATE is the lock that the UPDATE after it takes anyway, and the weakest that excludes another batch.
 *
 * A statement that waited for a lock sees the newest version of the row it locked, but every other table as it was
 * before the wait. So nothing else may be read here: `WITH locked AS (… FOR UPDATE), existing AS (SELECT …)` oversells.
 *
 * @returns undefined when there is no such event
 */
export async function lockEvent(tx: Queryable, eventId: string): Promise<EventState | undefined> {
  const rows = await tx.$queryRaw<StateRow[]>`
    SELECT ${stateColumns}
      FROM events
     WHERE id = ${eventId}::uuid
       FOR NO KEY UPDATE`;
  return stateOf(tx, rows);
}

/**
 * The same lock, and a fence: increments the event's revision. A fast statement that was sent before and has not arrived yet
 * names the revision of before, so it can do nothing any more. (A fencing token, as Kleppmann describes it in "How to do
 * distributed locking", 2016: the resource itself refuses whoever comes with an older number.)
 */
export async function lockAndFenceEvent(tx: Queryable, eventId: string): Promise<EventState | undefined> {
  const rows = await tx.$queryRaw<StateRow[]>`
    UPDATE events
       SET revision = revision + 1
     WHERE id = ${eventId}::uuid
    RETURNING ${stateColumns}`;
  return stateOf(tx, rows);
}

/** That there is no such event is fenced: a primary that was replaced must not say it of an event that its successor sells. */
async function stateOf(tx: Queryable, [row]: readonly StateRow[]): Promise<EventState | undefined> {
  if (row) return toState(row);
  await tx.$queryRaw`SELECT (${fence}) IS NOT NULL AS "isProven"`;
  return undefined;
}
